package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"slipway/server/play"
)

const (
	eventStream = "text/event-stream"
	ndjson      = "application/x-ndjson"

	heartbeat    = 15 * time.Second // proxies close what is silent for longer, often after 30 s
	writeTimeout = 10 * time.Second // for one write: a reader that takes none of it is gone
)

// beatEvent is a comment: it keeps a connection and says nothing.
var beatEvent = []byte(":\n\n")

// A stream is an answer that goes on. Every write has a deadline, and is on its way when it returns.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// newStream begins an answer of the given media type that goes on.
func newStream(w http.ResponseWriter, mediaType string) *stream {
	s := &stream{w: w, control: http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	// The server's limit on reading a request would end the stream; a writer that allows none has none.
	_ = s.control.SetReadDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	return s
}

func (s *stream) write(chunks ...[]byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	for _, b := range chunks {
		if _, err := s.w.Write(b); err != nil {
			return err
		}
	}
	return s.control.Flush()
}

// putEvent writes one server-sent event. The data must not be empty: browsers drop such an event.
func putEvent(b *bytes.Buffer, name string, id int64, data []byte) {
	if name != "" {
		b.WriteString("event: ")
		b.WriteString(name)
		b.WriteByte('\n')
	}
	b.WriteString("id: ")
	b.Write(strconv.AppendInt(b.AvailableBuffer(), id, 10))
	b.WriteByte('\n')
	// A carriage return ends a line of the stream too.
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		b.WriteString("data: ")
		b.Write(line)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
}

// cursor is the Seq after which a client wants events: Last-Event-ID, which browsers send when they come back,
// or else ?after=.
func cursor(lastEventID, after string) (int64, error) {
	text := lastEventID
	if text == "" {
		text = after
	}
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 0 {
		return 0, play.Errorf(play.Invalid, "after is %q; it is the seq of the last event that was seen, or 0.", clip(text))
	}
	return seq, nil
}

// pump reads the events of a job after a Seq into a channel, which closes after Finished, or when ctx ends or
// the log can't be read; then the second channel says why.
func (s *Server) pump(ctx context.Context, job string, after int64) (<-chan play.Event, <-chan error) {
	events, failed := make(chan play.Event, 1024), make(chan error, 1)
	started := s.share(func() {
		defer close(events)
		failed <- func() error {
			for e, err := range s.Log.Tail(ctx, job, after) {
				if err != nil {
					return err
				}
				select {
				case events <- e:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return ctx.Err()
		}()
	})
	if !started {
		failed <- stopping()
		close(events)
	}
	return events, failed
}
