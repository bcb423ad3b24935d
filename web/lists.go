package web

import (
	"context"
	"fmt"
	"io"

	"github.com/a-h/templ"
	"github.com/yuin/goldmark"

	"slipway/server/play"
)

// markdown draws our own words. Raw HTML in them is left out, and so are links that could run script.
func markdown(text string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		return goldmark.Convert([]byte(text), w)
	})
}

func (p ErrorPage) kind() play.Kind {
	if p.Err == nil {
		return play.Internal
	}
	return p.Err.Kind
}

func (p ErrorPage) heading() string {
	switch p.kind() {
	case play.Invalid:
		return "That can't be done as asked"
	case play.NotFound:
		return "There is nothing here"
	case play.Denied:
		return "That is not yours to do"
	case play.Conflict:
		return "Someone else was first"
	case play.Limited:
		return "A limit was reached"
	case play.Unavailable:
		return "A part of this server is down"
	}
	return "Something broke on our side"
}

func (p ErrorPage) message() string {
	if p.Err == nil || p.Err.Msg == "" {
		return fmt.Sprintf("The server answered %d.", p.Status)
	}
	return p.Err.Msg
}

// next is what the reader can do now.
func (p ErrorPage) next() string {
	if p.Retry > 0 {
		return "Try again in " + span(play.Millis(p.Retry)) + "."
	}
	switch p.kind() {
	case play.Invalid:
		return "Go back: what you typed is still there. Change it and send it again."
	case play.NotFound:
		return "The link may be incomplete. Links to builds and revisions don't expire by themselves."
	case play.Denied:
		return "You can open it in the editor and save your own copy."
	case play.Conflict:
		return "Reload to see the newer version. What you typed is kept as a draft in this browser."
	case play.Limited:
		return "Make it smaller, or wait a little and try again."
	case play.Unavailable:
		return "Try again in a minute. Nothing that was saved is lost."
	}
	return "Try again. If it happens twice, tell whoever runs this server the request's number."
}
