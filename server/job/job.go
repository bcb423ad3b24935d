// Package job is a job's life: it is admitted against the limits, waits in the queue, is carried out by a worker,
// perhaps more than once, and ends. The row in the store is the record of a job and is written first; the order in
// the queue and the log follow it, and whatever gets lost between them is put right by the Queue's Run.
//
// A Queue is the servers' end and needs the store; a Worker is the other end and needs nothing but NATS. The package
// does not know what a build is: that is the Builder's.
package job

import (
	"context"
	"crypto/rand"
	"time"

	"slipway/server/eventlog"
	"slipway/server/play"
)

const (
	streamName   = "SLIPWAY_JOBS"    // orders that nobody has carried out
	consumerName = "workers"         // shared by all workers
	orders       = "slipway.job."    // and the job's id, as below
	cancels      = "slipway.cancel." // tells the worker that the job's log has been ended
	files        = "slipway.files."  // asks for the files of the job's revision
	turns        = "slipway.turn."   // tells the servers that the job has begun or is over

	ackWait     = 5 * time.Second // a worker that is silent for so long is gone
	beat        = time.Second     // between two signs of life
	maxAttempts = 3               // of one job, before it is given up
	idBytes     = 16
	idLetters   = 22 // holds 109 bits of them
)

// order is what a worker gets: all of play.Build but what it can ask for or finds in the log.
type order struct {
	Job     string            `json:"job"`
	Domain  string            `json:"domain"`
	Created time.Time         `json:"created"`
	Request play.BuildRequest `json:"request"`
	Limits  play.Limits       `json:"limits"`
}

// A Builder carries out builds.
type Builder interface {
	// Build emits what happens, but for Finished, which it returns. It ends within a second after ctx, whose cause is
	// one of play's. An error says that we broke, not the build.
	Build(ctx context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error)
}

// WorkerMay is what a process that only works must be allowed.
func WorkerMay() eventlog.Permissions {
	may := eventlog.WriterMay()
	may.Publish = append(may.Publish,
		"$JS.API.CONSUMER.INFO."+streamName+"."+consumerName,
		"$JS.API.CONSUMER.MSG.NEXT."+streamName+"."+consumerName,
		"$JS.ACK."+streamName+"."+consumerName+".>",
		files+"*", turns+"*")
	may.Subscribe = append(may.Subscribe, cancels+"*")
	return may
}

func newID() string {
	b := make([]byte, idBytes)
	rand.Read(b) // never fails
	return play.Name(b, idLetters)
}
