package lint

import (
	"os"
	"testing"

	"slipway/server/dockerfile"
	"slipway/server/play"

	"golang.org/x/tools/txtar"
)

// FuzzLint: whatever passes the preflight gives findings, each of a known rule and inside the text, in order.
func FuzzLint(f *testing.F) {
	cases, err := os.ReadDir("testdata/findings")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		a, err := txtar.ParseFile("testdata/findings/" + c.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(a.Files[0].Data), "*.json\n", "")
	}
	f.Fuzz(func(t *testing.T, src, ignore, target string) {
		if dockerfile.Preflight("Dockerfile", []byte(src), nil, play.DefaultLimits()) != nil {
			return
		}
		o := dockerfile.Parse([]byte(src))
		var last play.Position
		for _, d := range lint(t, Input{File: "Dockerfile", Source: src, IgnoreFile: "Dockerfile.dockerignore", Ignore: ignore, Target: target}) {
			if _, ok := Find(d.Rule); !ok {
				t.Fatalf("%q: an unknown rule: %+v", src, d)
			}
			if d.File != "Dockerfile" || d.Range == (play.Range{}) {
				continue
			}
			if o.Position(o.Offset(d.Range.Start)) != d.Range.Start || o.Position(o.Offset(d.Range.End)) != d.Range.End || d.Range.End.Before(d.Range.Start) {
				t.Fatalf("%q: outside of the text: %+v", src, d)
			}
			if d.Range.Start.Before(last) {
				t.Fatalf("%q: out of order: %+v", src, d)
			}
			last = d.Range.Start
		}
	})
}
