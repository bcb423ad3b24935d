package view_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"slipway/server/play"
	"slipway/server/view"
)

// outputs is a log of n lines of output, ten to an event.
func outputs(n int, line func(int) string) []play.Event {
	log := []play.Event{{Seq: 1, Fact: play.Planned{Solver: true, Steps: []play.Step{{N: 1, Instruction: "RUN", Vertices: []string{"v"}, Needed: true}}}}}
	for i := 0; i < n; i += 10 {
		var b strings.Builder
		for k := range 10 {
			b.WriteString(line(i + k))
		}
		log = append(log, play.Event{Seq: int64(len(log) + 1), Fact: play.Output{Vertex: "v", Stream: 1, Data: b.String()}})
	}
	return log
}

func BenchmarkFold50000Lines(b *testing.B) {
	shapes := map[string]func(int) string{
		"plain": func(i int) string { return fmt.Sprintf("line %d of the output of a step of a build\n", i) },
		"coloured": func(i int) string {
			return fmt.Sprintf("\x1b[32m#%d\x1b[0m compiling \x1b[1mpackage\x1b[0m of a build\n", i)
		},
		"progress": func(i int) string { return fmt.Sprintf("\r%d of 50000 [=======>          ] and so on", i) },
		"wide":     func(int) string { return "你好世界，这是构建的输出 🚢 e\u0301\n" },
	}
	for name, line := range shapes {
		log := outputs(50_000, line)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				view.Fold(log)
			}
		})
	}
}

// A reader that keeps level with a long log: the cost is that of what changed, not of the log.
func BenchmarkFollow50000Lines(b *testing.B) {
	log := outputs(50_000, func(i int) string { return fmt.Sprintf("line %d of the output of a step of a build\n", i) })
	for b.Loop() {
		var j view.Job
		var cursor int64
		for _, e := range log {
			j.Apply(e)
			cursor = j.Changed(cursor).Seq
		}
	}
}

func BenchmarkText50000Lines(b *testing.B) {
	j := view.Fold(outputs(50_000, func(i int) string { return fmt.Sprintf("line %d of the output of a step of a build\n", i) }))
	for b.Loop() {
		if err := view.NewText(io.Discard).Write(j); err != nil {
			b.Fatal(err)
		}
	}
}
