package explain_test

import (
	"fmt"
	"strings"
	"testing"

	"slipway/server/dockerfile"
	"slipway/server/explain"
	"slipway/server/play"
	"slipway/server/view"
)

// typical is a Dockerfile of about n lines.
func typical(n int) []byte {
	var b strings.Builder
	b.WriteString("FROM python:3.14-slim AS base\n")
	for i := 0; i < n; i += 10 {
		fmt.Fprintf(&b, "WORKDIR /srv/app%d\nENV KEY%d=value$KEY0\nCOPY requirements%d.txt .\n", i, i, i)
		fmt.Fprintf(&b, "RUN apt-get update \\\n && apt-get install -y --no-install-recommends curl git \\\n && rm -rf /var/lib/apt/lists/*\n")
		fmt.Fprintf(&b, "RUN --mount=type=cache,target=/root/.cache pip install -r requirements%d.txt\nCOPY --chown=app:app . .\nLABEL step=%d\n", i, i)
	}
	b.WriteString("CMD [\"python\", \"app.py\"]\n")
	return []byte(b.String())
}

func BenchmarkSteps(b *testing.B) {
	for _, n := range []int{50, 500, 5000} {
		o := dockerfile.Parse(typical(n))
		files := []string{"app.py", "requirements0.txt"}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				explain.Steps(o, explain.Options{Files: files})
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	o := dockerfile.Parse(typical(50))
	plan, err := o.Plan("", nil)
	if err != nil {
		b.Fatal(err)
	}
	j := view.Fold([]play.Event{{Seq: 1, Fact: plan}})
	steps := explain.Steps(o, explain.Options{})
	for b.Loop() {
		explain.Build(steps, j, nil)
	}
}
