package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"

	"slipway/server/eventlog"
	"slipway/server/play"
)

// A worker asks for the files of its job with one request, and gets them as a stream of answers: pieces of the files
// as compressed JSON, the last one marked. The revision's id, which the worker has from its order, proves them.

const (
	pieceSize  = 512 << 10 // NATS takes messages of 1 MiB
	lastHeader = "Slipway-Last"
	failHeader = "Slipway-Error"
)

// sendFiles answers a request for the files of a job.
func (q *Queue) sendFiles(ctx context.Context, job, reply string) error {
	packed, err := q.packFiles(ctx, job)
	if err != nil {
		refusal := &nats.Msg{Subject: reply, Header: nats.Header{failHeader: {"a server could not read them"}}}
		return errors.Join(err, q.Bus.Conn.PublishMsg(refusal))
	}
	for len(packed) > pieceSize {
		if err := q.Bus.Conn.Publish(reply, packed[:pieceSize]); err != nil {
			return err
		}
		packed = packed[pieceSize:]
	}
	return q.Bus.Conn.PublishMsg(&nats.Msg{Subject: reply, Data: packed, Header: nats.Header{lastHeader: {"true"}}})
}

func (q *Queue) packFiles(ctx context.Context, job string) ([]byte, error) {
	j, err := q.Store.Job(ctx, job)
	if err != nil {
		return nil, err
	}
	rev, err := q.Store.Revision(ctx, j.Build.Revision)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(rev.Files)
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return z.EncodeAll(data, nil), nil
}

// fetchFiles gets the revision of a job, and asks again for a while if no server answers.
func fetchFiles(ctx context.Context, b *eventlog.Bus, job, id string) (play.Revision, error) {
	var last error
	for range 5 {
		rev, err := fetchOnce(ctx, b, job, id)
		if err == nil {
			return rev, nil
		}
		last = err
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return play.Revision{}, context.Cause(ctx)
		}
	}
	return play.Revision{}, play.Errorf(play.Unavailable, "The files of the build did not reach its worker.").Because(last)
}

func fetchOnce(ctx context.Context, b *eventlog.Bus, job, id string) (play.Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	inbox := b.Conn.NewInbox()
	sub, err := b.Conn.SubscribeSync(inbox)
	if err != nil {
		return play.Revision{}, err
	}
	defer sub.Unsubscribe()
	if err := b.Conn.PublishRequest(files+job, inbox, nil); err != nil {
		return play.Revision{}, err
	}
	var packed []byte
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return play.Revision{}, err
		}
		if text := msg.Header.Get(failHeader); text != "" {
			return play.Revision{}, errors.New(text)
		}
		packed = append(packed, msg.Data...)
		if msg.Header.Get(lastHeader) != "" {
			return unpackFiles(packed, id)
		}
	}
}

func unpackFiles(packed []byte, id string) (play.Revision, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return play.Revision{}, err
	}
	defer z.Close()
	data, err := z.DecodeAll(packed, nil)
	if err != nil {
		return play.Revision{}, err
	}
	var list []play.File
	if err := json.Unmarshal(data, &list); err != nil {
		return play.Revision{}, err
	}
	// They were within the limits when the revision was made.
	rev, err := play.NewRevision(list, play.Limits{Files: math.MaxInt, FileBytes: math.MaxInt64, TotalBytes: math.MaxInt64})
	if err != nil {
		return play.Revision{}, err
	}
	if rev.ID != id {
		return play.Revision{}, fmt.Errorf("they are of revision %s, not %s", rev.ID, id)
	}
	return rev, nil
}
