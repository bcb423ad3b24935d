package buildkit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/solver/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"slipway/server/play"
)

// refuse finds what the definition asks for that no build is given here, before anything runs: the same would fail
// in the daemon too, later and in words that help less. It returns nil if there is nothing.
func refuse(j *join, f *files, network string, have []ocispecs.Platform) *play.Finished {
	for _, d := range j.order {
		op := j.ops[d]
		msg, hint := refuseSource(op.GetSource(), network)
		if e := op.GetExec(); e != nil {
			msg, hint = refuseExec(e)
			if msg == "" {
				msg, hint = refusePlatform(op.GetPlatform(), have)
			}
		}
		if msg == "" {
			continue
		}
		end := &play.Finished{Outcome: play.Failed, Message: msg, Hint: hint, Vertex: string(j.solved[d])}
		if s := j.first(d); s != nil {
			end.Step, end.At = s.N, f.place(s.Range)
		}
		return end
	}
	return nil
}

func refuseSource(s *pb.SourceOp, network string) (msg, hint string) {
	scheme, rest, _ := strings.Cut(s.GetIdentifier(), "://")
	switch {
	case scheme == "git":
		return fmt.Sprintf("ADD of a Git repository (%s) is not possible here: builders have no git.", rest),
			"ADD an archive of it over https instead, and give it --unpack=true, or put the files into the build context."
	case network == play.NetworkOff && (scheme == "http" || scheme == "https"):
		return fmt.Sprintf("ADD of %s needs the network, which is off for this build.", s.GetIdentifier()),
			"Turn the network on, or put the file into the build context."
	}
	return "", ""
}

func refuseExec(e *pb.ExecOp) (msg, hint string) {
	switch {
	case e.Network == pb.NetMode_HOST:
		return "RUN --network=host is not allowed here.", "Leave it out: a step reaches public hosts over HTTP and HTTPS anyway."
	case e.Security == pb.SecurityMode_INSECURE:
		return "RUN --security=insecure is not allowed here.", "Leave it out; steps run without privileges."
	case len(e.CdiDevices) > 0 && !e.CdiDevices[0].Optional:
		return fmt.Sprintf("RUN --device=%s is not possible here: builders have no devices.", e.CdiDevices[0].Name), "Leave it out."
	}
	for _, m := range e.Mounts {
		switch {
		case m.MountType == pb.MountType_SECRET && !m.GetSecretOpt().GetOptional():
			return noSecret(m.GetSecretOpt().GetID())
		case m.MountType == pb.MountType_SSH && !m.GetSSHOpt().GetOptional():
			return "This step needs an SSH agent (--mount=type=ssh,required=true), and builds here are given none.",
				"Fetch over https instead, or leave out required=true, so that the step runs without it."
		}
	}
	for _, env := range e.Secretenv {
		if !env.Optional {
			return noSecret(env.ID)
		}
	}
	return "", ""
}

func noSecret(id string) (msg, hint string) {
	return fmt.Sprintf("This step needs the secret %q (--mount=type=secret,required=true), and builds here are given none.", id),
		"Leave out required=true, so that the step runs without it; what others can read is no place for a real secret."
}

func refusePlatform(p *pb.Platform, have []ocispecs.Platform) (msg, hint string) {
	if p == nil {
		return "", ""
	}
	want := platforms.Normalize(ocispecs.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant})
	if runs(want, have) {
		return "", ""
	}
	return fmt.Sprintf("This step is for %s, and the builders here can only run %s.", platforms.Format(want), names(have)),
		"Use --platform=$BUILDPLATFORM for a stage that only prepares files, or leave the platform out."
}

// runs reports whether a builder with the platforms have can run programs for want.
func runs(want ocispecs.Platform, have []ocispecs.Platform) bool {
	return slices.ContainsFunc(have, func(p ocispecs.Platform) bool { return platforms.Only(p).Match(want) })
}

// names lists platforms without the variants, of which one is as good as another here.
func names(have []ocispecs.Platform) string {
	var all []string
	for _, p := range have {
		if name := p.OS + "/" + p.Architecture; !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return strings.Join(all, ", ")
}
