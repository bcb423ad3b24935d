package dockerfile

import "github.com/moby/buildkit/frontend/dockerfile/shell"

// Expand replaces the variables of a word as BuildKit does in ENV, COPY and the like, and takes off its quotes. get
// tells a variable's value. ok is false if the word can't be expanded, or could have more than limit bytes then.
func (o *Outline) Expand(word string, get func(name string) (value string, ok bool), limit int) (expanded string, ok bool) {
	size := func(name string) int {
		value, _ := get(name)
		return len(value)
	}
	if bound(word, o.Escape, size) > limit {
		return "", false
	}
	expanded, _, err := shell.NewLex(o.Escape).ProcessWord(word, lookup(get))
	return expanded, err == nil
}

// lookup is a shell.EnvGetter.
type lookup func(string) (string, bool)

func (l lookup) Get(name string) (string, bool) { return l(name) }

// Keys is asked for only to tell which variables were not used, which Expand does not.
func (l lookup) Keys() []string { return nil }
