// Package example holds the examples that everyone begins with: real snippets, each one a txtar file in files.
// It holds no code that builds or draws them, and keeps nothing: Seed puts them where snippets are kept.
package example

import (
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/server/archive"
	"slipway/server/play"
)

// Owner owns the examples. It is no viewer's ID, so nobody can change them.
const Owner = "slipway"

// An Example is a snippet with words about it.
type Example struct {
	Name    string // of its file, e.g. "fastapi-1"
	ID      string // of its snippet, always the same
	Title   string
	Group   string   // examples of one group follow each other
	Level   string   // "beginner" or "intermediate"
	Learns  []string // what one learns, each a short phrase
	Needs   string   // what it needs that may not be there
	Summary string
	Files   []play.File
}

//go:embed files/*.txtar
var files embed.FS

// names lists the examples in the order in which they are shown.
var names = [...]string{
	"fastapi-1", "fastapi-2", "fastapi-3", "fastapi-4", "fastapi-5",
	"node", "go", "nginx", "fastapi-uv",
}

// starter is what a new snippet begins as.
const starter = "fastapi-2"

var all = sync.OnceValues(func() ([]Example, error) {
	var list []Example
	for _, name := range names {
		src, err := files.ReadFile("files/" + name + ".txtar")
		if err != nil {
			return nil, err
		}
		e, err := parse(name, src)
		if err != nil {
			return nil, fmt.Errorf("example %s: %w", name, err)
		}
		list = append(list, e)
	}
	return list, nil
})

// All is every example, in the order in which they are shown.
func All() ([]Example, error) { return all() }

// Starter is what a new snippet begins as.
func Starter() (Example, error) {
	list, err := all()
	i := slices.IndexFunc(list, func(e Example) bool { return e.Name == starter })
	if err != nil || i < 0 {
		return Example{}, cmp.Or(err, fmt.Errorf("there is no example %s", starter))
	}
	return list[i], nil
}

// parse reads an example: lines "key: value", an empty line, the summary, and the files.
func parse(name string, src []byte) (Example, error) {
	comment, files, err := archive.ParseTxtar(src)
	if err != nil {
		return Example{}, err
	}
	id := sha256.Sum256([]byte("slipway example\x00" + name))
	e := Example{Name: name, ID: play.Name(id[:], 12), Files: files}
	head, summary, _ := strings.Cut(string(comment), "\n\n")
	e.Summary = strings.Join(strings.Fields(summary), " ")
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "title":
			e.Title = value
		case "group":
			e.Group = value
		case "level":
			e.Level = value
		case "learns":
			e.Learns = append(e.Learns, value)
		case "needs":
			e.Needs = value
		default:
			return Example{}, fmt.Errorf("unknown key %q", key)
		}
	}
	return e, nil
}

// Snippets keeps snippets.
type Snippets interface {
	CreateSnippet(ctx context.Context, sn play.Snippet, rev play.Revision) error
	Snippet(ctx context.Context, id string) (play.Snippet, error)
	Revise(ctx context.Context, id, base string, rev play.Revision, at time.Time) (play.Snippet, error)
}

// Seed makes the examples snippets, and adds a revision where this version of the program has other files. It
// may run again and again, and on several nodes at once.
func Seed(ctx context.Context, to Snippets, now time.Time) error {
	list, err := all()
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := e.seed(ctx, to, now); err != nil {
			return fmt.Errorf("seed example %s: %w", e.Name, err)
		}
	}
	return nil
}

func (e Example) seed(ctx context.Context, to Snippets, now time.Time) error {
	rev, err := play.NewRevision(e.Files, play.DefaultLimits())
	if err != nil {
		return err
	}
	kept, err := to.Snippet(ctx, e.ID)
	if play.KindOf(err) == play.NotFound {
		sn := play.Snippet{ID: e.ID, Title: e.Title, Owner: Owner, Revision: rev.ID, Created: now, Updated: now}
		if err = to.CreateSnippet(ctx, sn, rev); err == nil {
			return nil
		}
		made, again := to.Snippet(ctx, e.ID) // another node may have made it meanwhile
		if again != nil {
			return err
		}
		kept, err = made, nil
	}
	if err != nil {
		return err
	}
	if kept.Revision == rev.ID {
		return nil
	}
	_, err = to.Revise(ctx, e.ID, kept.Revision, rev, now)
	if play.KindOf(err) == play.Conflict { // another node was first
		return nil
	}
	return err
}
