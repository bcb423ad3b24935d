package job

import (
	"errors"
	"testing"
	"time"

	"slipway/server/play"
)

// How an attempt ends, from what the builder returned and why it was told to stop.
func TestEndOf(t *testing.T) {
	ok, failed := play.Finished{Outcome: play.OK}, play.Finished{Outcome: play.Failed, Message: "COPY failed", Step: 3}
	limit := play.Finished{Outcome: play.LimitHit, Message: "out of memory"}
	limits := play.Limits{Build: time.Minute}
	late := "The build took longer than 1m0s, the most that a build may take here."
	oops := errors.New("oops")
	for name, c := range map[string]struct {
		fin     play.Finished
		err     error
		cause   error
		fate    fate
		outcome play.Outcome
		message string
	}{
		"well":                        {fin: ok, outcome: play.OK},
		"the build failed":            {fin: failed, outcome: play.Failed, message: "COPY failed"},
		"we broke":                    {fin: ok, err: oops, outcome: play.Broken, message: "Something broke on our side."},
		"we broke and say how":        {err: play.Errorf(play.Unavailable, "No disk.").Because(oops), outcome: play.Broken, message: "No disk."},
		"well, as it was cancelled":   {fin: ok, cause: play.ErrCancelled, outcome: play.OK},
		"well, as we stopped":         {fin: ok, cause: play.ErrStopping, outcome: play.OK},
		"well, just in time":          {fin: ok, cause: play.ErrDeadline, outcome: play.OK},
		"too late":                    {err: oops, cause: play.ErrDeadline, outcome: play.LimitHit, message: late},
		"too late in a step":          {fin: failed, cause: play.ErrDeadline, outcome: play.LimitHit, message: late},
		"at a limit, and too late":    {fin: limit, cause: play.ErrDeadline, outcome: play.LimitHit, message: "out of memory"},
		"cancelled":                   {err: oops, cause: play.ErrCancelled, fate: lost},
		"cancelled, says the builder": {fin: play.Finished{Outcome: play.Cancelled}, cause: play.ErrCancelled, fate: lost},
		"taken over":                  {fin: failed, cause: play.ErrLost, fate: lost},
		"stopping":                    {err: oops, cause: play.ErrStopping, fate: givenBack},
		"stopping breaks a step":      {fin: failed, cause: play.ErrStopping, fate: givenBack},
		"the log can't be written":    {fin: failed, cause: oops, fate: lost},
	} {
		got := endOf(c.fin, c.err, c.cause, limits)
		if got.fate != c.fate || got.fin.Outcome != c.outcome || got.fin.Message != c.message {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
