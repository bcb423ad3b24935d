package main

import (
	"context"
	"net/http"
	"time"

	"slipway/server/play"
)

// firstEvent measures how soon who presses Build sees something.
func (b *bench) firstEvent(ctx context.Context) error {
	const times = 28 // the server lets one address start 30 at once, and then one every 4 s
	o := order{Files: map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}}
	if _, _, err := b.site.build(ctx, o); err != nil { // a builder is there
		return err
	}
	var saved, first, started sample
	for range times {
		err := saved.measure(func() error { return b.site.call(ctx, http.MethodPost, "/api/v1/snippets", o, nil) })
		if err != nil {
			return err
		}
		begin := time.Now()
		id, err := b.site.post(ctx, o)
		if err != nil {
			return err
		}
		seen := false
		err = b.site.follow(ctx, id, func(e play.Event) {
			if !seen {
				first, seen = append(first, time.Since(begin)), true
			}
			if _, ok := e.Fact.(play.Started); ok {
				started = append(started, time.Since(begin))
			}
		})
		if err != nil {
			return err
		}
	}
	baseline := "POST /snippets " + short(saved.p99())
	b.add(row{
		what: "POST to first event seen", measured: first.String(), baseline: baseline, ratio: ratio(first.p99(), saved.p99()),
		bar: "p99 < 50 ms", met: first.p99() < 50*time.Millisecond,
	})
	b.add(row{what: "POST to Started seen", measured: started.String(), baseline: baseline, ratio: ratio(started.p99(), saved.p99())})
	b.note("first event: %d builds one after the other, with a free worker, each after the end of the one before; baseline: a snippet saved, its p99", times)
	return nil
}
