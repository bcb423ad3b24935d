package buildkit

import (
	"fmt"

	"github.com/dustin/go-humanize"

	"slipway/server/play"
)

// A shortage says which of its builder's bounds a build ran into. That is known from the machine's counters, never
// guessed from what a step printed. Builds that use one builder share its bounds.
type shortage struct {
	memory, pids, disk bool
	spent              bool // the builder is thrown away for it
	bounds             Usage
}

// died is the end of a build whose agent or builder is gone.
func (s shortage) died() play.Finished {
	if s.memory {
		return play.Finished{Outcome: play.LimitHit,
			Message: fmt.Sprintf("The builder ran out of its %s of memory and the build with it.", amount(s.bounds.Memory)),
			Hint:    "Do less at once, or do it in smaller steps."}
	}
	return play.Finished{Outcome: play.Broken, Message: "The builder stopped in the middle of the build: a fault on our side. Trying again may help."}
}

// name says of a build that failed or broke which bound it ran into.
func (s shortage) name(end play.Finished) play.Finished {
	switch {
	case end.Outcome == play.Broken && s.memory:
		return s.died()
	case end.Outcome != play.Failed:
		return end
	}
	var why string
	switch {
	case s.disk:
		why = fmt.Sprintf("The builder's disk is full: it holds %s.", amount(s.bounds.Disk))
		end.Hint = "Write less in the steps, and delete what only one step needs in the same RUN."
		if s.spent {
			end.Hint += " The next build has a fresh builder, without this one's cache."
		}
	case end.ExitCode == nil:
		return end
	case s.memory:
		why = fmt.Sprintf("The builder's memory, %s, had run out.", amount(s.bounds.Memory))
		end.Hint = "Do less at once, or do it in smaller steps."
	case s.pids:
		why = fmt.Sprintf("It had as many processes and threads as a step may have: %d.", s.bounds.StepPIDs)
		end.Hint = "Start fewer processes at the same time, for example with make -j2."
	default:
		return end
	}
	end.Outcome = play.LimitHit
	if end.Message != "" {
		why = end.Message + " " + why
	}
	end.Message = why
	return end
}

func amount(n int64) string { return humanize.IBytes(uint64(max(0, n))) }
