package buildkit_test

import (
	"strings"
	"testing"

	"slipway/sandbox/builder"
	"slipway/server/play"
)

// A build that fills the builder's disk says so, whoever noticed it, and the next one has room again.
func TestFullDisk(t *testing.T) {
	w := newWorldWithin(t, builder.Limits{Memory: 1 << 30, PIDs: 512, CPUs: 2, Disk: 256 << 20, Steps: 2})
	for text, step := range map[string]int{
		"FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M\n":                                                   2,
		"FROM busybox\nRUN dd if=/dev/urandom of=/big bs=64k || true\n":                                       0, // what exports the layer
		"FROM busybox\nRUN mkdir /many && i=0; while echo $i >/many/$i; do i=$((i+1)); done\n":                0, // out of bytes or out of files
		"FROM busybox\nRUN dd if=/dev/zero of=/a bs=1M count=60\nRUN dd if=/dev/zero of=/b bs=1M count=220\n": 3,
	} {
		l := w.run(t.Context(), w.job(t, play.BuildRequest{}, "Dockerfile", text))
		if l.err != nil || l.end.Outcome != play.LimitHit || !strings.Contains(l.end.Message, "disk is full: it holds 256 MiB") || step > 0 && l.end.Step != step {
			t.Errorf("%s%v", text, l)
		}
		l = w.run(t.Context(), w.job(t, play.BuildRequest{NoCache: true}, "Dockerfile", "FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=20\n"))
		if l.end.Outcome != play.OK {
			t.Errorf("after it: %v", l)
		}
	}
}
