package dockerfile

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"slipway/server/play"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// resolver knows which stage or image a name in the file means.
type resolver struct {
	o      *Outline
	vars   vars           // what FROM sees
	bases  []Source       // of each stage
	byName map[string]int // the last stage of that name
}

// maxExpanded bounds what expanding one FROM may give, in bytes: an image reference has at most 400 or so.
const maxExpanded = 4096

func newResolver(o *Outline, args map[string]string) *resolver {
	r := &resolver{o: o, vars: platformVars(), byName: map[string]int{}}
	for i := range o.Instructions {
		arg, ok := o.Instructions[i].Command.(*instructions.ArgCommand)
		if !ok || o.Instructions[i].Stage >= 0 {
			continue
		}
		for _, kv := range arg.Args {
			if v, ok := args[kv.Key]; ok {
				r.vars[kv.Key] = v
			} else if kv.Value != nil {
				r.vars[kv.Key] = r.expand(*kv.Value)
			}
		}
	}
	for _, s := range o.Stages {
		base := Source{Ref: r.expand(s.Base), Stage: -1, Range: o.Instructions[s.From].NameRange}
		if words := o.Instructions[s.From].Args; len(words) > 0 {
			base.Range = words[0].Range
		}
		if i, ok := r.byName[base.Ref]; ok {
			base.Stage = i
		}
		r.bases = append(r.bases, base)
		if s.Name != "" {
			r.byName[s.Name] = s.Index
		}
	}
	return r
}

// platformVars are the variables that BuildKit defines for FROM, for a build on and for the machine's own platform.
func platformVars() vars {
	v := vars{}
	for _, side := range []string{"BUILD", "TARGET"} {
		v[side+"PLATFORM"] = "linux/" + runtime.GOARCH
		v[side+"OS"] = "linux"
		v[side+"ARCH"] = runtime.GOARCH
		v[side+"VARIANT"] = ""
	}
	return v
}

// vars are values of variables.
type vars map[string]string

func (v vars) get(name string) (string, bool) {
	s, ok := v[name]
	return s, ok
}

// expand replaces variables; what can't be expanded within bounds stays as written.
func (r *resolver) expand(word string) string {
	if !strings.ContainsAny(word, `$\'"`+"`") {
		return word
	}
	if out, ok := r.o.Expand(word, r.vars.get, maxExpanded); ok {
		return out
	}
	return word
}

// sources is where an instruction takes files from.
func (r *resolver) sources(in *Instruction) []Source {
	switch cmd := in.Command.(type) {
	case *instructions.CopyCommand:
		if cmd.From == "" {
			return nil
		}
		src := r.named(cmd.From)
		if i, err := strconv.Atoi(cmd.From); err == nil && i >= 0 && i < len(r.o.Stages) {
			src.Stage = i
		}
		src.Range = in.flagRange("from", 0)
		return []Source{src}
	case *instructions.RunCommand:
		var all []Source
		for i, m := range instructions.GetMounts(cmd) {
			if m.From != "" {
				src := r.named(m.From)
				src.Range = in.flagRange("mount", i)
				all = append(all, src)
			}
		}
		return all
	}
	if in.Name == "FROM" && in.Stage >= 0 {
		return []Source{r.bases[in.Stage]}
	}
	return nil
}

func (r *resolver) named(ref string) Source {
	if i, ok := r.byName[strings.ToLower(ref)]; ok {
		return Source{Ref: ref, Stage: i}
	}
	return Source{Ref: ref, Stage: -1}
}

// flagRange is the place of the value of the n-th flag of that name.
func (in *Instruction) flagRange(name string, n int) play.Range {
	for _, f := range in.Flags {
		if f.Name != name {
			continue
		}
		if n == 0 {
			return f.ValueRange
		}
		n--
	}
	return in.NameRange
}

// inputs are the steps whose result an instruction uses: the one before it in its stage, and the last ones of the
// stages that it takes files from.
func (r *resolver) inputs(in *Instruction) []int {
	var n []int
	if in.Stage >= 0 && in.Name != "FROM" {
		n = append(n, in.N-1)
	}
	for _, src := range r.sources(in) {
		if src.Stage < 0 {
			continue
		}
		steps := r.o.Stages[src.Stage].Steps
		if last := r.o.Instructions[steps[len(steps)-1]].N; last != in.N && !slices.Contains(n, last) {
			n = append(n, last)
		}
	}
	slices.Sort(n)
	return n
}

// target is the index of the stage that a build is asked for: by name, by index, or the last. It is -1 if the file
// has no stage and none is asked for.
func (r *resolver) target(name string) (int, bool) {
	if name == "" {
		return len(r.o.Stages) - 1, true
	}
	if i, ok := r.byName[strings.ToLower(name)]; ok {
		return i, true
	}
	i, err := strconv.Atoi(name)
	return i, err == nil && i >= 0 && i < len(r.o.Stages)
}

// choices says which stages there are.
func (r *resolver) choices() string {
	if len(r.o.Stages) == 0 {
		return "the file has no stages"
	}
	var names []string
	for _, s := range r.o.Stages {
		if s.Name != "" {
			names = append(names, clip(s.Name))
		}
	}
	if len(names) == 0 && len(r.o.Stages) == 1 {
		return "the file's only stage has no name, use no target"
	}
	if len(names) == 0 {
		return fmt.Sprintf("the file's %d stages have no names, use their numbers from 0", len(r.o.Stages))
	}
	return "the file has " + strings.Join(names, ", ")
}

// Target is the index of the stage that a build with this target makes, or ok=false if there is none.
func (o *Outline) Target(name string) (stage int, ok bool) { return newResolver(o, nil).target(name) }

// Syntax is the frontend that the text asks for with "# syntax=", in any of the spellings that BuildKit knows, and
// its place; "" if it asks for none.
func (o *Outline) Syntax() (ref string, at play.Range) {
	ref, _, where, ok := parser.DetectSyntax(o.Source)
	if !ok {
		return "", play.Range{}
	}
	line := 1
	if len(where) > 0 {
		line = min(max(1, where[0].Start.Line), o.lines.count())
	}
	return ref, o.lines.trimmed(line)
}

func (o *Outline) syntaxNote() string {
	ref, _ := o.Syntax()
	if ref == "" {
		return ""
	}
	return clip(ref) + " is honoured by the frontend built into BuildKit"
}
