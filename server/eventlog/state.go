package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"slipway/server/play"
)

const (
	streamName  = "SLIPWAY_LOG"
	subjects    = "slipway.log."  // and the job's id
	stateHeader = "Slipway-State" // of every message: the state of the log after it, as JSON

	lastMessage = "$JS.API.DIRECT.GET." + streamName + "." // and a subject; answers with its last message
)

// WriterMay is what a process that writes logs, and reads none, must be allowed.
func WriterMay() Permissions {
	return Permissions{
		Publish:   []string{subjects + "*", lastMessage + subjects + "*"},
		Subscribe: []string{workerInbox + ".>"},
	}
}

// State is where the log of a job stands. The zero State is an empty log.
type State struct {
	Seq      int64         `json:"seq"` // of the last event
	At       time.Duration `json:"at"`  // of the last event
	Attempt  int           `json:"attempt"`
	Finished bool          `json:"finished,omitempty"`

	Writer   string `json:"writer"`           // who wrote last
	Size     int64  `json:"size"`             // bytes of all lines
	Output   Amount `json:"output"`           // kept
	Left     Amount `json:"left"`             // left out so far
	ToldLeft Amount `json:"told_left"`        // left out as the last Truncated said
	Told     int    `json:"reasons,omitzero"` // for leaving out that have been told
}

// Amount is an amount of text.
type Amount struct {
	Bytes int64 `json:"bytes"`
	Lines int64 `json:"lines"`
}

func (a *Amount) add(text string) {
	n := amountOf(text)
	a.Bytes += n.Bytes
	a.Lines += n.Lines
}

// Read returns the state of a job's log. A log that was never begun, or was forgotten long after it was archived, is
// empty.
func Read(ctx context.Context, b *Bus, job string) (State, error) {
	s, _, err := read(ctx, b, job)
	return s, err
}

// read also returns the stream's own sequence number of the log's last message, 0 if there is none.
func read(ctx context.Context, b *Bus, job string) (State, uint64, error) {
	if !play.IsName(job) {
		return State{}, 0, fmt.Errorf("%q is not a job's id", job)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// The request is made by hand because the library asks for the stream's description first, which workers may not.
	msg, err := b.Conn.RequestWithContext(ctx, lastMessage+subjects+job, nil)
	if err != nil {
		return State{}, 0, fmt.Errorf("read the state of log %s: %w", job, err)
	}
	switch status := msg.Header.Get("Status"); status {
	case "":
	case "404":
		return State{}, 0, nil
	default:
		return State{}, 0, fmt.Errorf("read the state of log %s: %s %s", job, status, msg.Header.Get("Description"))
	}
	seq, err := strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return State{}, 0, fmt.Errorf("read the state of log %s: %w", job, err)
	}
	var s State
	if err := json.Unmarshal([]byte(msg.Header.Get(stateHeader)), &s); err != nil {
		return State{}, 0, fmt.Errorf("read the state of log %s: %w", job, err)
	}
	return s, seq, nil
}

// publish appends a message after the one with the stream's sequence number last, and returns its own. It tries
// again for as long as the trouble may pass. It fails with play.ErrLost if someone else has appended since.
func publish(ctx context.Context, b *Bus, job string, s State, lines []byte, last uint64) (uint64, error) {
	head, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		msg := &nats.Msg{Subject: subjects + job, Data: lines, Header: nats.Header{stateHeader: {string(head)}}}
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		ack, err := b.Stream.PublishMsg(once, msg, jetstream.WithExpectLastSequencePerSubject(last))
		cancel()
		if err == nil {
			return ack.Sequence, nil
		}
		if Overtaken(err) {
			now, seq, err := read(ctx, b, job)
			if err == nil && now == s {
				return seq, nil // stored by an earlier try, whose answer was lost
			}
			if err == nil && seq != last {
				return 0, play.ErrLost
			}
		} else if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed) {
			return 0, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, errors.Join(context.Cause(ctx), err)
		}
	}
}

// Overtaken reports whether a publish was refused because the subject's last message is not the expected one.
func Overtaken(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
