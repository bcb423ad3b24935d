package view_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/server/play"
	"slipway/server/view"
)

var update = flag.Bool("update", false, "write the wanted files anew")

// Logs of every version that was in use are kept in testdata/old for ever; this version reads them as it did.
func TestOldLogs(t *testing.T) {
	logs, err := filepath.Glob("testdata/old/*.ndjson")
	if err != nil || len(logs) < 2 {
		t.Fatalf("the corpus of old logs is gone: %v, %v", logs, err)
	}
	for _, name := range logs {
		t.Run(filepath.Base(name), func(t *testing.T) {
			log := read(t, name)
			j := view.Fold(log)
			var got bytes.Buffer
			if err := view.NewText(&got).Write(j); err != nil {
				t.Fatal(err)
			}
			got.WriteString("\n")
			for _, v := range []any{j.Summary(), j.Timeline().Steps, j.Timeline().Others, j.Lines(0, 0)} {
				b, err := json.MarshalIndent(v, "", " ")
				if err != nil {
					t.Fatal(err)
				}
				got.Write(append(b, '\n'))
			}
			wanted := strings.TrimSuffix(name, ".ndjson") + ".want"
			if *update {
				if err := os.WriteFile(wanted, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wanted)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s reads differently; got\n%s", name, got.Bytes())
			}
		})
	}
}

func read(t *testing.T, name string) []play.Event {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var log []play.Event
	for line := range bytes.Lines(b) {
		var e play.Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		log = append(log, e)
	}
	return log
}

// Text given the log as it grows writes every line and every end once.
func TestTextLive(t *testing.T) {
	log := read(t, "testdata/old/multi-stage.ndjson")
	var live, whole bytes.Buffer
	var j view.Job
	w := view.NewText(&live)
	for _, e := range log {
		j.Apply(e)
		if err := w.Write(&j); err != nil {
			t.Fatal(err)
		}
	}
	if err := view.NewText(&whole).Write(&j); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(whole.String()) {
		if line == "\n" || strings.HasPrefix(line, "Queued") {
			continue
		}
		if n := strings.Count("\n"+live.String(), "\n"+line); n < 1 || n > 1 && !strings.Contains(line, "(line ") {
			t.Errorf("%d times in the live text: %q", n, line)
		}
	}
	if t.Failed() {
		t.Log(live.String())
	}
}
