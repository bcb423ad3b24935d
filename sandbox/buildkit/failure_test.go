package buildkit

import (
	"errors"
	"testing"

	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	solvererr "github.com/moby/buildkit/solver/errdefs"

	"slipway/server/dockerfile"
	"slipway/server/play"
)

// A step whose runtime was killed did not fail by itself.
func TestRuntimeKilled(t *testing.T) {
	outline := dockerfile.Parse([]byte("FROM busybox\nRUN true\n"))
	plan, err := outline.Plan("", nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &work{outline: outline, plan: &plan}
	for code, want := range map[uint32]play.Outcome{1<<32 - 1: play.Broken, 255: play.Failed, 1: play.Failed} {
		ended := solvererr.WrapVertex(&gatewayapi.ExitError{ExitCode: code, Err: errors.New("exit")}, "sha256:1")
		if end := w.failed(ended).Finished; end.Outcome != want || (end.ExitCode != nil) != (want == play.Failed) {
			t.Errorf("%d: %+v", code, end)
		}
	}
}
