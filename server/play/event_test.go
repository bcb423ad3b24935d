package play

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func millis(ms float64) *Millis {
	m := Millis(ms * float64(time.Millisecond))
	return &m
}

// everyFact holds a value of every kind with every kind of field set.
var everyFact = []Fact{
	Queued{Ahead: 3},
	Started{Attempt: 2, Worker: "node-1", BuildKit: "v0.34.2", Frontend: "1.20", Sandbox: "runc", Limit: Millis(time.Minute)},
	Planned{Solver: true, Target: 1, Stages: []Stage{{Index: 1, Name: "run", Base: Base{Ref: "busybox", Digest: "sha256:00"}}},
		Steps: []Step{{N: 1, Stage: 0, Instruction: "FROM", Vertices: []string{"sha256:01"}}}},
	Diagnosed{Diagnostic{Rule: "StageNameCasing", Severity: SeverityWarning, Range: Range{Start: Position{1, 2}, End: Position{1, 5}}}},
	Vertex{Digest: "sha256:01", Name: "RUN make", Started: millis(1.5), Completed: millis(200), Cached: true},
	Progress{Vertex: "sha256:01", ID: "extracting", Current: 5, Total: 10},
	Output{Vertex: "sha256:01", Stream: 2, Data: "wide 漢字 \x1b[31mred\x1b[0m\r\n"},
	Requested{Method: "GET", URL: "http://example.com/", Status: 200, Allowed: true, Rule: "public"},
	Exported{Image: "builds/x", Digest: "sha256:02", Layers: []Layer{{Digest: "sha256:03", Step: 4}}},
	Truncated{What: "The output was cut.", Bytes: 9},
	Finished{Outcome: Failed, ExitCode: new(int), At: &Place{File: "Dockerfile"}},
}

func TestEventSurvivesJSON(t *testing.T) {
	if len(everyFact) != len(facts) {
		t.Fatalf("%d facts are tested, %d kinds are known", len(everyFact), len(facts))
	}
	for i, f := range everyFact {
		want := Event{Seq: int64(i + 1), At: 12500 * time.Microsecond, Fact: f}
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(b), `{"seq":`) || !strings.Contains(string(b), `"at":12.5,"kind":"`+f.Kind()+`"`) {
			t.Errorf("%s: head of %s", f.Kind(), b)
		}
		var got Event
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%s: %v", f.Kind(), err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", f.Kind(), got, want)
		}
	}
}

// A log of a later version stays whole in the hands of this one.
func TestUnknownKindIsKept(t *testing.T) {
	const line = `{"seq":7,"at":1,"kind":"teleported","to":"moon"}`
	var e Event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatal(err)
	}
	if e.Seq != 7 || e.Fact.Kind() != "teleported" {
		t.Errorf("got %+v", e)
	}
	if b, err := json.Marshal(e); err != nil || string(b) != line {
		t.Errorf("written as %s, %v", b, err)
	}
}

func TestMillisRefusesNonsense(t *testing.T) {
	for _, s := range []string{`"1"`, `1e300`, `null x`, `NaN`} {
		var m Millis
		if err := m.UnmarshalJSON([]byte(s)); err == nil {
			t.Errorf("%s was read as %v", s, m)
		}
	}
}

// Whatever can be read can be written, and then reads as the same.
func FuzzEvent(f *testing.F) {
	for i, fact := range everyFact {
		b, err := json.Marshal(Event{Seq: int64(i), Fact: fact})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Event
		if json.Unmarshal(b, &e) != nil {
			return
		}
		once, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("read %q, but can't write it: %v", b, err)
		}
		var again Event
		if err := json.Unmarshal(once, &again); err != nil {
			t.Fatalf("%q does not read: %v", once, err)
		}
		if twice, _ := json.Marshal(again); string(once) != string(twice) {
			t.Fatalf("%q became %q", once, twice)
		}
	})
}
