package buildkit

import (
	"bytes"
	"unicode/utf8"

	"slipway/server/play"
)

// tailBytes is how much of the end of a failed step's output is kept when the middle had to go.
const tailBytes = 8 << 10

// outputs turns the bytes that vertices write into facts. It keeps no more than the build's limit, counts the rest,
// and never ends a fact inside a code point.
type outputs struct {
	emit        func(play.Fact)
	bytes       int64 // that may still be kept
	lines       int
	streams     map[stream]*text
	lost        play.Truncated // of the whole build
	lostWritten bool
}

type stream struct {
	vertex string
	fd     int
}

// text is the state of one stream of one vertex.
type text struct {
	part        []byte // an unfinished code point
	tail        []byte // the last of what was left out
	left, lines int64  // bytes and lines left out
}

func newOutputs(l play.Limits, emit func(play.Fact)) *outputs {
	reserve := min(l.OutputBytes/8, 8*tailBytes) // for the ends of failed steps
	return &outputs{emit: emit, bytes: l.OutputBytes - reserve, lines: l.OutputLines, streams: map[stream]*text{}}
}

func (o *outputs) write(vertex string, fd int, data []byte) {
	key := stream{vertex, fd}
	t := o.streams[key]
	if t == nil {
		t = &text{}
		o.streams[key] = t
	}
	data = append(t.part, data...)
	keep := o.fits(data)
	if t.left > 0 || keep == 0 && len(data) > 0 {
		t.part = nil
		o.leaveOut(t, data)
		return
	}
	whole := keep
	if keep == len(data) {
		whole -= unfinished(data)
	}
	t.part = bytes.Clone(data[whole:keep])
	o.send(key, data[:whole])
	if keep < len(data) {
		o.leaveOut(t, data[keep:])
	}
}

// fits is how much of data may be kept.
func (o *outputs) fits(data []byte) int {
	n := min(int64(len(data)), o.bytes)
	if rows := bytes.Count(data[:n], []byte("\n")); rows > o.lines {
		n = 0
		for range o.lines {
			n += int64(bytes.IndexByte(data[n:], '\n')) + 1
		}
	}
	for n > 0 && n < int64(len(data)) && !utf8.RuneStart(data[n]) {
		n--
	}
	return int(n)
}

func (o *outputs) send(key stream, data []byte) {
	o.bytes -= int64(len(data))
	o.lines -= bytes.Count(data, []byte("\n"))
	for len(data) > 0 {
		n := min(len(data), chunk)
		for n > chunk-utf8.UTFMax && n < len(data) && !utf8.RuneStart(data[n]) {
			n--
		}
		o.emit(play.Output{Vertex: key.vertex, Stream: key.fd, Data: string(data[:n])})
		data = data[n:]
	}
}

func (o *outputs) leaveOut(t *text, data []byte) {
	lines := int64(bytes.Count(data, []byte("\n")))
	t.left += int64(len(data))
	t.lines += lines
	o.lost.Bytes += int64(len(data))
	o.lost.Lines += lines
	t.tail = append(t.tail, data...)
	if over := len(t.tail) - tailBytes; over > 0 {
		t.tail = append(t.tail[:0], t.tail[over:]...)
	}
	if !o.lostWritten {
		o.lostWritten = true
		o.emit(play.Truncated{What: "The output of this build is longer than what is kept; the rest of it is only counted.", Bytes: o.lost.Bytes, Lines: o.lost.Lines})
	}
}

// end closes the streams of a vertex. The end of what a failed one wrote is kept in any case.
func (o *outputs) end(vertex string, failed bool) {
	for fd := 1; fd <= 2; fd++ {
		key := stream{vertex, fd}
		t := o.streams[key]
		if t == nil {
			continue
		}
		delete(o.streams, key)
		o.send(key, t.part)
		if t.left == 0 {
			continue
		}
		shown := int64(0)
		if failed {
			if i := bytes.IndexByte(t.tail, '\n'); i >= 0 && t.left > tailBytes { // begin at a line
				t.tail = t.tail[i+1:]
			}
			shown = int64(len(t.tail))
		}
		lines := int64(bytes.Count(t.tail[:shown], []byte("\n")))
		o.lost.Bytes -= shown
		o.lost.Lines -= lines
		o.emit(play.Truncated{What: "Output of this step was left out here.", Vertex: vertex, Bytes: t.left - shown, Lines: t.lines - lines})
		if shown > 0 {
			o.emit(play.Output{Vertex: vertex, Stream: fd, Data: string(t.tail)})
		}
	}
}

// close ends what is open and says how much is missing.
func (o *outputs) close() {
	for key := range o.streams {
		o.end(key.vertex, false)
	}
	if o.lostWritten {
		o.emit(play.Truncated{What: "The output of this build is longer than what is kept. Left out", Bytes: o.lost.Bytes, Lines: o.lost.Lines})
	}
}

// unfinished is the length of the beginning of a code point at the end of data.
func unfinished(data []byte) int {
	for n := 1; n <= min(len(data), utf8.UTFMax-1); n++ {
		if b := data[len(data)-n]; utf8.RuneStart(b) {
			if utf8.FullRune(data[len(data)-n:]) {
				return 0
			}
			return n
		}
	}
	return 0
}
