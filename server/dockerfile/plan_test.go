package dockerfile

import (
	"fmt"
	"strings"
	"testing"

	"slipway/server/play"
)

const stages = `# syntax=docker/dockerfile:1
ARG TAG=1
ARG BASE=debian:${TAG}
FROM ${BASE} AS Base
RUN a
FROM base AS build
COPY . .
RUN --mount=from=tools,target=/t --mount=type=cache,target=/c b
FROM golang:1 AS tools
RUN c
FROM nginx AS unused
COPY --from=build /x /x
FROM scratch
COPY --from=1 /x /x
COPY --from=alpine:3 /y /y
CMD ["x"]
`

func TestPlan(t *testing.T) {
	o := Parse([]byte(stages))
	for _, c := range []struct {
		target string
		args   map[string]string
		want   string
	}{
		{"", nil, `target 4: debian:1+ base=0+ golang:1+ nginx- scratch+; 1[]+ 2[]+ 3[]+ 4[3]+ 5[4]+ 6[5]+ 7[6 9]+ 8[]+ 9[8]+ 10[]- 11[7 10]- 12[]+ 13[7 12]+ 14[13]+ 15[14]+; alpine:3`},
		{"BUILD", map[string]string{"TAG": "2"}, `target 1: debian:2+ base=0+ golang:1+ nginx- scratch-; 1[]+ 2[]+ 3[]+ 4[3]+ 5[4]+ 6[5]+ 7[6 9]+ 8[]+ 9[8]+ 10[]- 11[7 10]- 12[]- 13[7 12]- 14[13]- 15[14]-; alpine:3`},
		{"0", map[string]string{"BASE": "x", "OTHER": "y"}, `target 0: x+ base=0- golang:1- nginx- scratch-; 1[]+ 2[]+ 3[]+ 4[3]+ 5[4]- 6[5]- 7[6 9]- 8[]- 9[8]- 10[]- 11[7 10]- 12[]- 13[7 12]- 14[13]- 15[14]-; alpine:3`},
	} {
		p, err := o.Plan(c.target, c.args)
		if err != nil {
			t.Fatal(err)
		}
		if got := show(p); got != c.want {
			t.Errorf("%q %v:\n%s, want\n%s", c.target, c.args, got, c.want)
		}
	}
	p, _ := o.Plan("", nil)
	if !strings.HasPrefix(p.Syntax, "docker/dockerfile:1 is") {
		t.Errorf("syntax %q", p.Syntax)
	}
	if s := p.Steps[6]; s.Text != "RUN --mount=from=tools,target=/t --mount=type=cache,target=/c b" || s.Instruction != "RUN" || s.Range.Start.Line != 8 || s.Stage != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := o.Plan("nope", nil); play.KindOf(err) != play.Invalid || !strings.Contains(err.Error(), "base, build, tools, unused") {
		t.Error(err)
	}
	if _, err := Parse([]byte("FROM a\n")).Plan("nope", nil); err == nil || !strings.Contains(err.Error(), "only stage has no name") {
		t.Error(err)
	}
	if p, err := Parse(nil).Plan("", nil); err != nil || p.Target != -1 {
		t.Error(p, err)
	}
}

func show(p play.Planned) string {
	var b strings.Builder
	sign := map[bool]string{true: "+", false: "-"}
	fmt.Fprintf(&b, "target %d:", p.Target)
	for _, s := range p.Stages {
		b.WriteString(" " + s.Base.Ref)
		if s.Base.Stage != nil {
			fmt.Fprintf(&b, "=%d", *s.Base.Stage)
		}
		b.WriteString(sign[s.Needed])
	}
	b.WriteString(";")
	for _, s := range p.Steps {
		fmt.Fprintf(&b, " %d%v%s", s.N, s.Inputs, sign[s.Needed])
	}
	b.WriteString(";")
	for _, i := range p.Images {
		b.WriteString(" " + i.Ref)
	}
	return b.String()
}

// TestPlanOfAnything: cycles, stages that come later and names that are none end as well.
func TestPlanOfAnything(t *testing.T) {
	o := Parse([]byte("FROM a AS a\nCOPY --from=b x y\nFROM b AS b\nCOPY --from=a x y\nCOPY --from=b x y\nCOPY --from=9 x y\n"))
	p, err := o.Plan("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := show(p), "target 1: a+ b+; 1[]+ 2[1 6]+ 3[]+ 4[2 3]+ 5[4 6]+ 6[5]+; 9"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestBounds(t *testing.T) {
	o := Parse([]byte("ARG A=aaaaaaaaaaaaaaaa\n" + strings.Repeat("ARG A=$A$A\n", 60) + "FROM $A\n"))
	p, err := o.Plan("", nil)
	if err != nil || len(p.Stages[0].Base.Ref) > maxExpanded {
		t.Errorf("%d bytes, %v", len(p.Stages[0].Base.Ref), err)
	}
}
