package gallery

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/html"
)

// Outline is a page without its looks: landmarks, headings, forms with their fields, links, buttons, in order.
func Outline(r io.Reader) (string, error) {
	doc, err := html.Parse(r)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	outline(&b, doc, 0)
	return b.String(), nil
}

func outline(b *strings.Builder, n *html.Node, depth int) {
	for c := range n.ChildNodes() {
		line := ""
		if c.Type == html.ElementNode {
			line = describe(c)
		}
		if line == "" {
			outline(b, c, depth)
			continue
		}
		fmt.Fprintf(b, "%s%s\n", strings.Repeat("  ", depth), line)
		outline(b, c, depth+1)
	}
}

func describe(n *html.Node) string {
	words := func() string {
		s := strings.Join(strings.Fields(text(n)), " ")
		if label := attr(n, "aria-label"); label != "" {
			s = label
		}
		if r := []rune(s); len(r) > 80 {
			s = string(r[:80]) + "…"
		}
		return fmt.Sprintf("%q", s)
	}
	id := ""
	if attr(n, "id") != "" {
		id = "#" + attr(n, "id")
	}
	switch n.Data {
	case "title", "h1", "h2", "h3":
		return n.Data + " " + words()
	case "header", "main", "nav", "section", "dialog", "article", "table", "ol":
		return strings.TrimSpace(n.Data + id + " " + attr(n, "aria-label"))
	case "form":
		return fmt.Sprintf("form%s %s %s", id, attr(n, "method"), attr(n, "action"))
	case "input", "select", "textarea":
		if attr(n, "name") == "" {
			return ""
		}
		return strings.TrimSpace(n.Data + " " + attr(n, "name") + " " + attr(n, "type"))
	case "button":
		return "button " + words()
	case "summary":
		return "details " + words()
	case "a":
		return "link " + attr(n, "href") + " " + words()
	}
	for _, a := range n.Attr {
		if a.Key == "role" || a.Key == "data-live" {
			return fmt.Sprintf("%s%s %s=%s", n.Data, id, a.Key, a.Val)
		}
	}
	return ""
}
