package gallery

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Check reads a whole page and tells everything about it that would shut someone out or break the content
// security policy.
func Check(r io.Reader) ([]string, error) {
	doc, err := html.Parse(r)
	if err != nil {
		return nil, err
	}
	c := &checker{ids: map[string]int{}, labelled: map[string]bool{}}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			if id := attr(n, "id"); id != "" {
				c.ids[id]++
			}
			if n.Data == "label" {
				c.labelled[attr(n, "for")] = true
			}
		}
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			c.element(n)
		}
	}
	for id, n := range c.ids {
		if n > 1 {
			c.say("the id %q is there %d times", id, n)
		}
	}
	if c.h1 != 1 {
		c.say("there are %d h1, not one", c.h1)
	}
	slices.Sort(c.wrong)
	return slices.Compact(c.wrong), nil
}

type checker struct {
	ids      map[string]int
	labelled map[string]bool
	h1       int
	wrong    []string
}

func (c *checker) say(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

func (c *checker) element(n *html.Node) {
	for _, a := range n.Attr {
		switch {
		case strings.HasPrefix(a.Key, "on"):
			c.say("<%s> has the inline handler %s", n.Data, a.Key)
		case a.Key == "style":
			c.say("<%s> has a style attribute", n.Data)
		case (a.Key == "href" || a.Key == "src" || a.Key == "action") && !safe(a.Val):
			c.say("<%s> has %s=%q", n.Data, a.Key, a.Val)
		case a.Key == "href" && n.Data == "a" && strings.HasPrefix(a.Val, "#") && c.ids[a.Val[1:]] == 0:
			c.say("the link to %s leads nowhere", a.Val)
		case a.Key == "aria-labelledby" || a.Key == "aria-controls" || a.Key == "aria-describedby":
			if c.ids[a.Val] == 0 {
				c.say("%s names %q, which is not there", a.Key, a.Val)
			}
		}
	}
	switch n.Data {
	case "html":
		c.need(n, "lang")
	case "h1":
		c.h1++
	case "script":
		if attr(n, "src") == "" || n.FirstChild != nil {
			c.say("there is an inline script")
		}
	case "style", "iframe", "object", "embed", "base", "img":
		c.say("there is a <%s>", n.Data)
	case "form":
		if attr(n, "method") != "post" || !strings.HasPrefix(attr(n, "action"), "/") {
			c.say("a form has method %q and action %q: it does nothing without script", attr(n, "method"), attr(n, "action"))
		}
	case "input", "select", "textarea":
		c.field(n)
	case "button", "a", "summary":
		c.control(n)
	case "title":
		if strings.TrimSpace(text(n)) == "" {
			c.say("the page has no title")
		}
	case "th":
		c.need(n, "scope")
	}
}

func (c *checker) need(n *html.Node, key string) {
	if attr(n, key) == "" {
		c.say("<%s> has no %s", n.Data, key)
	}
}

// field is something to fill in: it has a label and, unless script is there, a form.
func (c *checker) field(n *html.Node) {
	if attr(n, "type") == "hidden" {
		return
	}
	if attr(n, "aria-label") == "" && !within(n, "label") && !c.labelled[attr(n, "id")] {
		c.say("the field %q has no label", attr(n, "name")+attr(n, "id"))
	}
	if attr(n, "name") != "" && !within(n, "form") && c.ids[attr(n, "form")] == 0 {
		c.say("the field %q belongs to no form", attr(n, "name"))
	}
}

// control is something to press: it has a name, and does something without script or is only there with it.
func (c *checker) control(n *html.Node) {
	if strings.TrimSpace(text(n)) == "" && attr(n, "aria-label") == "" {
		c.say("a <%s> has no name", n.Data)
	}
	if n.Data != "button" {
		return
	}
	plain := attr(n, "type") == "button"
	if plain && !underClass(n, "js") {
		c.say("the button %q does nothing without script", strings.TrimSpace(text(n)+attr(n, "aria-label")))
	}
	if !plain && !within(n, "form") && c.ids[attr(n, "form")] == 0 {
		c.say("the button %q belongs to no form", strings.TrimSpace(text(n)))
	}
}

func safe(url string) bool {
	return url == "" || strings.HasPrefix(url, "/") || strings.HasPrefix(url, "#") ||
		strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "about:invalid") || strings.HasPrefix(url, "http://")
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func within(n *html.Node, tag string) bool {
	for p := range n.Ancestors() {
		if p.Data == tag {
			return true
		}
	}
	return false
}

func underClass(n *html.Node, class string) bool {
	for p := n; p != nil; p = p.Parent {
		if slices.Contains(strings.Fields(attr(p, "class")), class) {
			return true
		}
	}
	return false
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}
