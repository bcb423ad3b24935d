package eventlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"slipway/server/play"
)

// Gate is what every fact passes before it is stored. Only what has passed is ever shown.
type Gate struct {
	Limits  play.Limits // OutputBytes, OutputLines and Events bound the log
	Secrets []string    // never enter the log; those of fewer than 4 bytes can't be told from other text and are ignored
}

const (
	mask        = "***"     // stands where a secret was
	shortSecret = 4         // bytes
	pieceSize   = 32 << 10  // bytes of output in one event, at most
	eventSize   = 700 << 10 // bytes of one encoded event, at most: NATS takes messages of 1 MiB
	wordsSize   = 8 << 10   // bytes of each text of a Finished
	streamsHeld = 1024      // streams that may hold bytes back at once
	reserve     = 10        // events kept free for three Truncated, the totals at the end of each attempt, and Finished
)

// Why something was left out; each is told once, when it first happens.
const (
	outputFull = 1 << iota
	logFull
	tooLarge
)

// gate turns facts into lines of the log, and keeps the state of the log up to date.
type gate struct {
	limits  play.Limits
	secrets []string // the longest first
	escaped [][]byte // the same as they stand inside JSON
	state   State
	held    map[source]string // the end of each stream's bytes that could still become part of a rune or a secret
}

type source struct {
	vertex string
	stream int
}

func newGate(g Gate, s State) *gate {
	secrets := slices.DeleteFunc(slices.Clone(g.Secrets), func(s string) bool { return len(s) < shortSecret })
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	var escaped [][]byte
	for _, s := range secrets {
		b, _ := json.Marshal(s) // a string can always be encoded
		escaped = append(escaped, b[1:len(b)-1])
	}
	return &gate{limits: g.Limits, secrets: secrets, escaped: escaped, state: s, held: make(map[source]string)}
}

// entry is a line of the log, and the log's state after it.
type entry struct {
	line  []byte
	state State
}

// admit returns the lines that a fact leaves in the log: none if it is held back or left out, several if it is long
// or sets free what was held.
func (g *gate) admit(at time.Duration, fact play.Fact) ([]entry, error) {
	g.state.At = max(g.state.At, at)
	switch f := fact.(type) {
	case play.Output:
		return g.enter(g.output(f, false))
	case play.Vertex:
		if f.Completed != nil {
			return g.enter(append(g.release(f.Digest), f))
		}
	case play.Finished:
		lines, err := g.drain()
		if err != nil {
			return nil, err
		}
		f.Message, f.Hint = shorten(g.redact(f.Message)), shorten(g.redact(f.Hint))
		last, err := g.enter([]play.Fact{f})
		return append(lines, last...), err
	}
	return g.enter([]play.Fact{fact})
}

// drain returns the lines of everything that is held back, and of how much was left out since that was told last.
func (g *gate) drain() ([]entry, error) {
	lines, err := g.enter(g.releaseAll())
	if left := g.state.Left; err == nil && left != g.state.ToldLeft {
		var told []entry
		told, err = g.enter([]play.Fact{play.Truncated{What: "So much has been left out of this log so far.", Bytes: left.Bytes, Lines: left.Lines}})
		lines = append(lines, told...)
	}
	return lines, err
}

// enter encodes facts that have been cleaned, if they still fit.
func (g *gate) enter(facts []play.Fact) ([]entry, error) {
	var lines []entry
	for _, f := range facts {
		line, err := g.encode(f)
		if err != nil {
			return nil, err
		}
		if instead, fits := g.fits(f, len(line)); !fits {
			told, err := g.enter(instead)
			if err != nil {
				return nil, err
			}
			lines = append(lines, told...)
			continue
		}
		switch f := f.(type) {
		case play.Truncated:
			g.state.ToldLeft = g.state.Left
		case play.Output:
			g.state.Output.add(f.Data)
		case play.Finished:
			g.state.Finished = true
		}
		g.state.Seq++
		g.state.Size += int64(len(line))
		lines = append(lines, entry{line, g.state})
	}
	return lines, nil
}

// fits decides whether a fact of that many encoded bytes still fits, and if not what stands in its place. Output and
// its like stop at four fifths of the limits, so that what became of the steps is told to the end.
func (g *gate) fits(f play.Fact, size int) (instead []play.Fact, fits bool) {
	events, total := int64(g.limits.Events), 4*g.limits.OutputBytes+2<<20
	vertex, lost := "", Amount{Bytes: int64(size)}
	switch f := f.(type) {
	case play.Truncated, play.Finished:
		return nil, true
	case play.Output:
		events, total, vertex, lost = events*4/5, total*4/5, f.Vertex, amountOf(f.Data)
	case play.Progress:
		events, total, vertex = events*4/5, total*4/5, f.Vertex
	case play.Requested:
		events, total, vertex = events*4/5, total*4/5, f.Vertex
	}
	switch {
	case size > eventSize:
		return g.leave(tooLarge, fmt.Sprintf("A fact of kind %s has %d bytes, more than a log takes.", f.Kind(), size), vertex, lost), false
	case g.state.Seq >= events-reserve, g.state.Size+int64(size) > total:
		what := fmt.Sprintf("More happened in this build than a log of %d events holds; only the most important is kept from here on.", g.limits.Events)
		return g.leave(logFull, what, vertex, lost), false
	}
	return nil, true
}

// leave counts what is left out, and says so unless this reason has been told before.
func (g *gate) leave(why int, what, vertex string, lost Amount) []play.Fact {
	g.state.Left.Bytes += lost.Bytes
	g.state.Left.Lines += lost.Lines
	if g.state.Told&why != 0 {
		return nil
	}
	g.state.Told |= why
	return []play.Fact{play.Truncated{What: what, Vertex: vertex, Bytes: g.state.Left.Bytes, Lines: g.state.Left.Lines}}
}

// output cleans a chunk of a stream and cuts it to what the limits leave. At the end of a stream nothing is held back.
func (g *gate) output(o play.Output, end bool) []play.Fact {
	src := source{o.Vertex, o.Stream}
	text, rest := g.scrub(g.held[src]+o.Data, end)
	if rest == "" {
		delete(g.held, src)
	} else {
		g.held[src] = rest
	}
	if !utf8.ValidString(text) {
		text = string([]rune(text)) // every byte that is no UTF-8 becomes U+FFFD
	}

	var facts []play.Fact
	keep := text[:g.room(text)]
	kept := amountOf(keep)
	for len(keep) > 0 {
		piece := keep[:prefix(keep, pieceSize)]
		keep = keep[len(piece):]
		facts = append(facts, play.Output{Vertex: o.Vertex, Stream: o.Stream, Data: piece})
	}
	if lost := amountOf(text); lost != kept {
		lost.Bytes, lost.Lines = lost.Bytes-kept.Bytes, lost.Lines-kept.Lines
		facts = append(facts, g.leave(outputFull, fmt.Sprintf("This build printed more than %d bytes or %d lines, as much as a log keeps; the rest is left out.",
			g.limits.OutputBytes, g.limits.OutputLines), o.Vertex, lost)...)
	}
	if len(g.held) > streamsHeld {
		facts = append(facts, g.releaseAll()...)
	}
	return facts
}

// room is how many bytes of text the limits of output leave.
func (g *gate) room(text string) int {
	if g.state.Told&outputFull != 0 {
		return 0 // no later line stands behind a gap
	}
	n := prefix(text, g.limits.OutputBytes-g.state.Output.Bytes)
	lines := int64(g.limits.OutputLines) - g.state.Output.Lines
	if lines <= 0 {
		return 0
	}
	for i := 0; i < n; i++ {
		if text[i] == '\n' {
			if lines--; lines == 0 {
				return i + 1
			}
		}
	}
	return n
}

// prefix is the length of the longest beginning of s that has at most n bytes and ends with a whole rune.
func prefix(s string, n int64) int {
	if int64(len(s)) <= n {
		return len(s)
	}
	i := int(max(n, 0))
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}

// release ends the streams of a vertex.
func (g *gate) release(vertex string) []play.Fact {
	var facts []play.Fact
	for src := range g.held {
		if src.vertex == vertex {
			facts = append(facts, g.output(play.Output{Vertex: src.vertex, Stream: src.stream}, true)...)
		}
	}
	return facts
}

func (g *gate) releaseAll() []play.Fact {
	var facts []play.Fact
	for _, src := range slices.SortedFunc(maps.Keys(g.held), func(a, b source) int {
		if c := strings.Compare(a.vertex, b.vertex); c != 0 {
			return c
		}
		return a.stream - b.stream
	}) {
		facts = append(facts, g.output(play.Output{Vertex: src.vertex, Stream: src.stream}, true)...)
	}
	return facts
}

// scrub masks every secret in data, the leftmost first and of those the longest. Unless it is the end, rest is what
// must wait for more: the beginning of a rune, or of a secret.
func (g *gate) scrub(data string, end bool) (text, rest string) {
	stop := len(data)
	if !end {
		stop = wholeRunes(data)
	}
	var out strings.Builder
	for i := 0; i < len(data); {
		if !end && (i >= stop || g.begins(data[i:])) {
			return out.String(), data[i:]
		}
		if n := g.secretAt(data[i:]); n > 0 {
			out.WriteString(mask)
			i += n
			continue
		}
		next := g.candidate(data, i+1)
		if !end {
			next = max(min(next, stop), i+1)
		}
		out.WriteString(data[i:next])
		i = next
	}
	return out.String(), ""
}

// begins reports whether rest could be the beginning of a secret that goes on after it.
func (g *gate) begins(rest string) bool {
	for _, s := range g.secrets {
		if len(rest) < len(s) && strings.HasPrefix(s, rest) {
			return true
		}
	}
	return false
}

// secretAt is the length of the longest secret at the beginning of rest, or 0.
func (g *gate) secretAt(rest string) int {
	for _, s := range g.secrets {
		if strings.HasPrefix(rest, s) {
			return len(s)
		}
	}
	return 0
}

// candidate is the first index from i on where a secret could begin, or the end of data.
func (g *gate) candidate(data string, i int) int {
	next := len(data)
	for _, s := range g.secrets {
		if n := strings.IndexByte(data[i:next], s[0]); n >= 0 {
			next = i + n
		}
	}
	return next
}

// wholeRunes is the length of s without a rune at its end that is not complete.
func wholeRunes(s string) int {
	for i := len(s) - 1; i >= 0 && i > len(s)-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			if !utf8.FullRuneInString(s[i:]) {
				return i
			}
			break
		}
	}
	return len(s)
}

// redact masks the secrets in a text that is whole.
func (g *gate) redact(s string) string {
	text, _ := g.scrub(s, true)
	return text
}

// encode writes the next event's line. Secrets in any of its texts are masked.
func (g *gate) encode(f play.Fact) ([]byte, error) {
	line, err := json.Marshal(play.Event{Seq: g.state.Seq + 1, At: g.state.At, Fact: f})
	if err != nil {
		return nil, err
	}
	_, unknown := f.(play.Unknown)
	if !unknown && !slices.ContainsFunc(g.escaped, func(s []byte) bool { return bytes.Contains(line, s) }) {
		return line, nil
	}
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return nil, err
	}
	for k, v := range fields {
		fields[k] = g.redactValue(v)
	}
	fields["seq"], fields["at"], fields["kind"] = g.state.Seq+1, play.Millis(g.state.At), f.Kind()
	return json.Marshal(fields)
}

func (g *gate) redactValue(v any) any {
	switch v := v.(type) {
	case string:
		return g.redact(v)
	case []any:
		for i := range v {
			v[i] = g.redactValue(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = g.redactValue(v[k])
		}
	}
	return v
}

func shorten(s string) string {
	if len(s) <= wordsSize {
		return s
	}
	return s[:prefix(s, wordsSize)] + "…"
}

func amountOf(text string) Amount {
	return Amount{Bytes: int64(len(text)), Lines: int64(strings.Count(text, "\n"))}
}
