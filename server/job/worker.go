package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"slipway/server/eventlog"
)

// Worker carries out jobs, some at a time. All it needs of other machines is NATS.
type Worker struct {
	Bus     *eventlog.Bus
	Builder Builder
	Slots   int      // jobs at a time
	Secrets []string // texts of this machine that no log may hold
	Log     *slog.Logger
}

// Work carries out jobs until ctx ends. Those that run then go back to the queue, for another attempt; Work returns
// when their builders have stopped.
func (w *Worker) Work(ctx context.Context) error {
	consumer, err := w.consumer(ctx)
	if err != nil {
		return err
	}
	var slots sync.WaitGroup
	for range w.Slots {
		slots.Go(func() { w.serve(ctx, consumer) })
	}
	slots.Wait()
	return nil
}

// consumer waits until a server has made the queue.
func (w *Worker) consumer(ctx context.Context) (jetstream.Consumer, error) {
	for told := false; ; told = true {
		consumer, err := w.Bus.Stream.Consumer(ctx, streamName, consumerName)
		if err == nil {
			return consumer, nil
		}
		if !told {
			w.Log.Warn("there is no queue yet; waiting for a server to make it", "error", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, fmt.Errorf("find the queue: %w", err)
		}
	}
}

// serve carries out one job after another.
func (w *Worker) serve(ctx context.Context, consumer jetstream.Consumer) {
	for ctx.Err() == nil {
		msg, err := consumer.Next(jetstream.FetchContext(ctx))
		if errors.Is(err, nats.ErrTimeout) {
			continue // nothing came for a while
		}
		if err != nil {
			if ctx.Err() == nil {
				w.Log.Warn("the queue can't be read; trying again", "error", err)
				sleep(ctx, time.Second)
			}
			continue
		}
		var o order
		if err := json.Unmarshal(msg.Data(), &o); err != nil {
			w.Log.Error("an order makes no sense; it is dropped", "subject", msg.Subject(), "error", err)
			msg.Term()
			continue
		}
		log := w.Log.With("job", o.Job)
		if err := w.attempt(ctx, log, msg, o); err != nil {
			// Nothing more is heard of the order, so that it comes back after ackWait, to whoever is there then.
			log.Error("an attempt could not be brought to an end", "error", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
