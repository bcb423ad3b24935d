package server

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"slipway/server/play"
	"slipway/web"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
)

const (
	linger     = 10 * time.Second      // a live waits for viewers who are about to come back
	drawEvery  = 50 * time.Millisecond // drawings of one job follow each other no faster
	settle     = 20 * time.Millisecond // what the log holds already is read before the first
	behind     = 4 << 20               // bytes that a viewer may be behind before it is let go
	rowsAtOnce = 500                   // rows of one event: what a browser draws in a frame
)

// lives are the jobs that someone watches now.
type lives struct {
	server *Server
	linger time.Duration
	mu     sync.Mutex
	of     map[string]*live
}

// A live is one job's stream of drawings, which all its viewers share: one reader of the log, one fold, one
// drawing of each change, whoever looks on. The drawings are a chain of links: each viewer walks along it at
// its own pace, and what nobody still needs is gone.
type live struct {
	build
	server  *Server
	viewers int // guarded by lives.mu
	idle    *time.Timer
	cancel  context.CancelFunc
	total   atomic.Int64 // bytes of the chain

	// Guarded by the build's lock.
	folded   int64            // Seq of the last event
	moved    chan struct{}    // closed when there is another, or err
	plan     int64            // Seq of the last Planned: the list of steps may have changed
	seq      int64            // drawn up to
	last     *link            // the next to be published
	err      error            // why the log can't be read
	catchups map[int64][]byte // what changed since a Seq, drawn for those who came back; as of fold
}

// A link is the drawing of some changes. Its fields are set before ready is closed, and never after.
type link struct {
	ready chan struct{}
	seq   int64 // of the last event folded in
	data  []byte
	total int64 // bytes of the chain, this link included
	beat  bool  // says nothing, but keeps the connection
	end   bool
	next  *link
}

// enter gives the live of a job, started if need be, to a viewer who must leave it.
func (ls *lives) enter(job play.Job, rev play.Revision) *live {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l, ok := ls.of[job.ID]
	if !ok {
		ctx, cancel := context.WithCancel(ls.server.live)
		l = &live{
			build: build{job: job, rev: rev}, server: ls.server, cancel: cancel, moved: make(chan struct{}),
			last: &link{ready: make(chan struct{})}, catchups: map[int64][]byte{},
		}
		ls.of[job.ID] = l
		if !ls.server.share(func() { ls.run(ctx, l) }) {
			l.err = stopping()
			l.publish(link{end: true})
		}
	}
	if l.idle != nil {
		l.idle.Stop()
		l.idle = nil
	}
	l.viewers++
	return l
}

// leave lets the live go some time after its last viewer has left.
func (ls *lives) leave(l *live) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.viewers--; l.viewers == 0 {
		l.idle = time.AfterFunc(ls.linger, func() {
			ls.mu.Lock()
			defer ls.mu.Unlock()
			if l.viewers == 0 {
				ls.forget(l)
			}
		})
	}
}

// forget ends a live; who asks for the job's next gets a new one. Callers hold ls.mu.
func (ls *lives) forget(l *live) {
	if ls.of[l.job.ID] == l {
		delete(ls.of, l.job.ID)
	}
	l.cancel()
}

// run reads the log and draws, until the job has finished or nobody looks on any more.
func (ls *lives) run(ctx context.Context, l *live) {
	err := l.followSafely(ctx)
	if err == nil {
		return
	}
	if ctx.Err() != nil {
		err = stopping() // or nobody is left to hear it
	} else {
		ls.server.Logger.Error("a live stream broke off", "job", l.job.ID, "err", err)
	}
	l.Lock()
	l.err = err
	l.move()
	l.publish(link{end: true})
	l.Unlock()
	ls.mu.Lock()
	ls.forget(l)
	ls.mu.Unlock()
}

// followSafely makes a panic an error: what is drawn comes from strangers, and others look at other builds.
func (l *live) followSafely(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return l.follow(ctx)
}

func (l *live) follow(ctx context.Context) error {
	events, failed := l.server.pump(ctx, l.job.ID, 0)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	draw := time.NewTimer(0)
	<-draw.C
	pending := false
	last := time.Now().Add(settle - drawEvery) // of the last drawing
	for {
		select {
		case e, ok := <-events:
			if !ok {
				if err := <-failed; err != nil {
					return err
				}
				return l.redraw(true)
			}
			l.apply(e)
			if !pending { // the first change is drawn at once, those soon after it together
				pending = true
				draw.Reset(time.Until(last.Add(drawEvery)))
			}
		case <-draw.C:
			if err := l.redraw(false); err != nil {
				return err
			}
			pending, last = false, time.Now()
			beat.Reset(heartbeat)
		case <-beat.C:
			l.Lock()
			l.publish(link{data: beatEvent, beat: true})
			l.Unlock()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *live) apply(e play.Event) {
	l.Lock()
	defer l.Unlock()
	l.fold.Apply(e)
	l.folded = e.Seq
	l.move()
	if _, ok := e.Fact.(play.Planned); ok {
		l.plan = e.Seq
	}
	clear(l.catchups)
}

// move wakes those who wait for an event. Callers hold the lock.
func (l *live) move() {
	close(l.moved)
	l.moved = make(chan struct{})
}

// reach waits until an event has been folded in, but for no longer than a second: a page that comes earlier goes on
// live.
func (l *live) reach(ctx context.Context, seq int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		l.Lock()
		over, moved := l.folded >= seq || l.err != nil, l.moved
		l.Unlock()
		if over {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

// redraw draws what has changed since the last drawing, once for all viewers.
func (l *live) redraw(end bool) error {
	l.Lock()
	defer l.Unlock()
	data, err := l.since(l.seq)
	if err != nil {
		return err
	}
	l.seq = l.fold.Timeline().Seq
	if end {
		data = l.ending(data)
	}
	l.publish(link{data: data, end: end})
	return nil
}

// publish fills in the last link and lets everyone see it. Callers hold the lock.
func (l *live) publish(k link) {
	now := l.last
	l.last = &link{ready: make(chan struct{})}
	now.data, now.beat, now.end, now.seq, now.next = k.data, k.beat, k.end, l.seq, l.last
	now.total = l.total.Add(int64(len(k.data)))
	close(now.ready)
}

func (l *live) ending(data []byte) []byte {
	b := bytes.NewBuffer(data)
	putEvent(b, "end", l.seq, []byte("finished"))
	return b.Bytes()
}

// join is what a viewer who has seen everything up to a Seq must draw first, and the link that comes then.
func (l *live) join(after int64) (data []byte, next *link, err error) {
	l.Lock()
	defer l.Unlock()
	data, ok := l.catchups[after]
	if !ok {
		if data, err = l.since(after); err != nil {
			return nil, nil, err
		}
		if len(l.catchups) < 16 {
			l.catchups[after] = data
		}
	}
	if l.fold.Timeline().Finished != nil && l.seq == l.fold.Timeline().Seq {
		return l.ending(bytes.Clone(data)), nil, l.err
	}
	return data, l.last, l.err
}

// since draws what has changed after a Seq, as server-sent events. Only the last carries the new Seq: whoever
// is cut off between two of them gets them all again.
func (l *live) since(after int64) ([]byte, error) {
	c := l.fold.Changed(after)
	if c.Seq <= after {
		return nil, nil
	}
	build := l.draw(l.server, false)
	now := play.Millis(build.Now.Sub(l.job.Created))
	var parts []templ.Component
	if l.plan > after {
		parts = append(parts, web.StepsFragment(build))
	} else {
		for _, n := range c.Steps {
			if n <= len(build.Steps) { // a log may name steps that the text doesn't have
				parts = append(parts, web.StepFragment(l.job.ID, build.Steps[n-1], &build.Timeline.Steps[n-1], now))
			}
		}
	}
	if c.Head || len(c.Steps) > 0 {
		parts = append(parts, web.StatusFragment(build))
	}
	if c.Head || c.Others {
		parts = append(parts, web.ResultFragment(build))
	}
	var events []sseEvent
	if len(parts) > 0 {
		events = append(events, sseEvent{"patch", parts})
	}
	for rows := range slices.Chunk(c.Lines[max(0, len(c.Lines)-web.LogLines):], rowsAtOnce) {
		events = append(events, sseEvent{"lines", []templ.Component{web.LinesFragment(rows)}})
	}
	return drawEvents(events, after, c.Seq)
}

// sseEvent is an event whose data is HTML.
type sseEvent struct {
	name  string
	parts []templ.Component
}

func drawEvents(events []sseEvent, before, seq int64) ([]byte, error) {
	var out, html bytes.Buffer
	for i, e := range events {
		html.Reset()
		for _, part := range e.parts {
			if err := part.Render(context.Background(), &html); err != nil {
				return nil, fmt.Errorf("draw %s: %w", e.name, err)
			}
		}
		id := before
		if i == len(events)-1 {
			id = seq
		}
		putEvent(&out, e.name, id, html.Bytes())
	}
	return out.Bytes(), nil
}

// buildLive is the stream of a build's drawings: GET /b/{build}/live.
func (s *Server) buildLive(c echo.Context) error {
	ctx := c.Request().Context()
	after, err := cursor(c.Request().Header.Get("Last-Event-ID"), c.QueryParam("after"))
	if err != nil {
		return err
	}
	job, rev, err := s.jobAndRevision(ctx, c.Param("build"))
	if err != nil {
		return err
	}
	leave, err := s.rates.streams.enter(viewerOf(ctx))
	if err != nil {
		return err
	}
	defer leave()
	l := s.lives.enter(job, rev)
	defer s.lives.leave(l)
	data, next, err := l.join(after)
	if err != nil {
		return err
	}
	w := newStream(c.Response(), eventStream)
	if err := w.write(data); err != nil || next == nil {
		return nil // a viewer who is gone is no error
	}
	l.show(ctx, w, next, after)
	return nil
}

// show walks along the chain until its end, or the viewer is gone or too slow.
func (l *live) show(ctx context.Context, w *stream, next *link, after int64) {
	for {
		select {
		case <-next.ready:
		case <-ctx.Done():
			return
		}
		// A viewer may have seen more than this live has read yet.
		if (next.seq > after || next.beat || next.end) && w.write(next.data) != nil {
			return
		}
		if next.end || l.total.Load()-next.total > behind {
			return
		}
		next = next.next
	}
}
