package view

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"slipway/server/play"

	"github.com/dustin/go-humanize"
)

// Text writes a job as plain text, free of terminal codes: for curl and for terminals. It may be given a job
// again and again as it goes on and writes what is new; given a finished job once, it writes step by step.
type Text struct {
	w        io.Writer
	seq      int64
	attempt  int
	ahead    int
	findings int          // written
	done     map[int]bool // steps whose end is written
	lines    int          // lines up to this one are written, but for those in open
	open     []int        // lines that had no end yet
	last     string       // heading that stands above
}

// NewText gives a Text that writes to w.
func NewText(w io.Writer) *Text {
	return &Text{w: w, done: make(map[int]bool)}
}

// Write writes what is new of the job. The error, if any, is the writer's.
func (t *Text) Write(j *Job) error {
	var b bytes.Buffer
	now := j.Timeline()
	if now.State == play.JobQueued && now.Ahead != t.ahead {
		t.ahead = now.Ahead
		if now.Ahead == 0 {
			b.WriteString("Queued: next in line.\n")
		} else {
			fmt.Fprintf(&b, "Queued: %s ahead.\n", counted(now.Ahead, "build is", "builds are"))
		}
	}
	if s := now.Started; s != nil && s.Attempt != t.attempt {
		t.attempt = s.Attempt
		clear(t.done)
		fmt.Fprintf(&b, "Started with BuildKit %s, Dockerfile frontend %s, steps in %s.\n", s.BuildKit, s.Frontend, s.Sandbox)
	}
	for _, d := range now.Findings[t.findings:] {
		fmt.Fprintf(&b, "%s: %s: %s (%s)\n", play.Place{File: d.File, Range: d.Range}, d.Severity, d.Message, d.Rule)
	}
	t.findings = len(now.Findings)
	byStep := t.fresh(j)
	t.vertexLines(&b, "#0 the build itself\n", byStep[0])
	held := make(map[int]bool) // stages with a step that is not over
	for _, s := range now.Steps {
		t.vertexLines(&b, title(s), byStep[s.N])
		switch s.Status {
		case Waiting, Running:
			held[s.Stage] = true
			continue
		}
		if t.done[s.N] || held[s.Stage] && now.Finished == nil {
			continue
		}
		t.done[s.N] = true
		t.heading(&b, title(s))
		fmt.Fprintf(&b, "#%d %s\n", s.N, outcome(s))
	}
	if f := now.Finished; f != nil && t.seq < now.Seq {
		b.WriteString(ending(now, f))
	}
	t.seq = now.Seq
	_, err := t.w.Write(b.Bytes())
	return err
}

// fresh are the whole lines that were not written yet, by step.
func (t *Text) fresh(j *Job) map[int][]Line {
	out := make(map[int][]Line)
	unread := j.Lines(t.lines, 0)
	for i := len(t.open) - 1; i >= 0; i-- {
		unread = slices.Insert(unread, 0, j.Lines(t.open[i]-1, 1)...)
	}
	t.open = nil
	for _, l := range unread {
		t.lines = max(t.lines, l.N)
		if l.Open {
			t.open = append(t.open, l.N)
			continue
		}
		out[l.Step] = append(out[l.Step], l)
	}
	return out
}

func (t *Text) vertexLines(b *bytes.Buffer, heading string, lines []Line) {
	for _, l := range lines {
		t.heading(b, heading)
		fmt.Fprintf(b, "#%d %.3f %s\n", l.Step, time.Duration(l.At).Seconds(), l.Text)
	}
}

func (t *Text) heading(b *bytes.Buffer, h string) {
	if h != t.last {
		t.last = h
		fmt.Fprintf(b, "\n%s", h)
	}
}

func title(s Step) string {
	return fmt.Sprintf("#%d %s (line %d)\n", s.N, s.Text, s.Range.Start.Line)
}

func outcome(s Step) string {
	out := string(s.Status)
	if s.Status == Ran || s.Status == Failing {
		out += " in " + Took(s.Busy)
	}
	if s.Reason != "" {
		out += ": " + s.Reason
	}
	if s.Error != "" {
		out += ": " + s.Error
	}
	for _, left := range s.Truncated {
		out += fmt.Sprintf("\n#%d %s", s.N, left.What)
	}
	return out
}

func ending(t *Timeline, f *play.Finished) string {
	var b bytes.Buffer
	b.WriteByte('\n')
	for _, s := range t.Steps {
		if l := s.Layer; l != nil {
			fmt.Fprintf(&b, "#%d added %s, %s\n", s.N, counted(l.Files, "file", "files"), humanize.Bytes(uint64(max(0, l.Unpacked))))
		}
	}
	for _, left := range t.Truncated {
		fmt.Fprintln(&b, left.What)
	}
	switch {
	case f.Outcome == play.OK && t.Exported != nil:
		fmt.Fprintf(&b, "Done: %s@%s, %s.\n", t.Exported.Image, t.Exported.Digest, humanize.Bytes(uint64(max(0, t.Exported.Size))))
	case f.Outcome == play.OK:
		b.WriteString("Done.\n")
	case f.Message != "":
		fmt.Fprintf(&b, "%s: %s\n", ended(f.Outcome), f.Message)
	default:
		fmt.Fprintf(&b, "%s.\n", ended(f.Outcome))
	}
	if f.Hint != "" {
		fmt.Fprintln(&b, f.Hint)
	}
	return b.String()
}

// Took is a length of time in words: "45 ms", "12.3 s", "2 min 5 s".
func Took(m play.Millis) string {
	d := time.Duration(max(0, m))
	if d < 95*time.Millisecond {
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	}
	if s := d.Round(100 * time.Millisecond); s < time.Minute {
		return fmt.Sprintf("%.1f s", s.Seconds())
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}
