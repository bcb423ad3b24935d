package buildkit

import (
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"

	"slipway/server/play"
)

// join is a definition read beside the plan of its Dockerfile: which steps each operation carries out.
type join struct {
	plan   *play.Planned
	head   digest.Digest   // the result; "" if there is nothing in it
	order  []digest.Digest // of the definition, inputs first, without the terminal operation
	ops    ops
	solved map[digest.Digest]digest.Digest
	steps  map[digest.Digest][]int // operation → numbers of its steps, ascending
}

// newJoin joins by the definition's source map, which is exact. An operation without a place of its own, such as
// the document that a heredoc becomes, belongs to the step that uses it. Loading the context belongs to none.
func newJoin(def *llb.Definition, plan *play.Planned) (*join, error) {
	j := &join{plan: plan, steps: map[digest.Digest][]int{}}
	var err error
	if j.head, err = def.Head(); err != nil {
		return nil, err
	}
	if j.ops, err = readOps(def.ToPB()); err != nil {
		return nil, err
	}
	if j.solved, err = solved(j.ops); err != nil {
		return nil, err
	}
	for _, raw := range def.Def {
		if d := digest.FromBytes(raw); j.ops[d].Op != nil {
			j.order = append(j.order, d)
		}
	}
	users := map[digest.Digest][]digest.Digest{}
	for _, d := range j.order {
		for _, in := range j.ops[d].Inputs {
			users[digest.Digest(in.Digest)] = append(users[digest.Digest(in.Digest)], d)
		}
	}
	for _, d := range slices.Backward(j.order) {
		if id := j.ops[d].GetSource().GetIdentifier(); strings.HasPrefix(id, "local://") {
			continue
		}
		for _, loc := range def.Source.GetLocations()[string(d)].GetLocations() {
			if len(loc.Ranges) > 0 && loc.Ranges[0].Start != nil {
				j.add(d, stepAt(plan.Steps, int(loc.Ranges[0].Start.Line)))
			}
		}
		if len(j.steps[d]) == 0 {
			for _, user := range users[d] {
				for _, n := range j.steps[user] {
					j.add(d, n)
				}
			}
		}
	}
	return j, nil
}

func (j *join) add(d digest.Digest, step int) {
	if i, found := slices.BinarySearch(j.steps[d], step); step > 0 && !found {
		j.steps[d] = slices.Insert(j.steps[d], i, step)
	}
}

// stepAt is the number of the step on a line, from 1, or 0.
func stepAt(steps []play.Step, line int) int {
	for _, s := range steps {
		if s.Range.Start.Line <= line && line <= s.Range.End.Line {
			return s.N
		}
	}
	return 0
}

// planned is the plan with the solver's vertices and with the digests of the images that were resolved.
func (j *join) planned() play.Planned {
	p := *j.plan
	p.Solver = true
	p.Stages, p.Steps = slices.Clone(p.Stages), slices.Clone(p.Steps)
	p.Images = slices.Clone(p.Images)
	for _, d := range j.order {
		image, isImage := strings.CutPrefix(j.ops[d].GetSource().GetIdentifier(), "docker-image://")
		for _, n := range j.steps[d] {
			s := &p.Steps[n-1]
			s.Vertices = append(s.Vertices, string(j.solved[d]))
			if !isImage {
				continue
			}
			base := pinned(image)
			if s.Instruction == "FROM" {
				p.Stages[s.Stage].Base = base
			} else { // instead of all spellings of it
				p.Images = slices.DeleteFunc(p.Images, func(b play.Base) bool { return canonical(b.Ref) == canonical(base.Ref) })
				p.Images = append(p.Images, base)
			}
		}
	}
	return p
}

// pinned takes "docker.io/library/busybox:latest@sha256:…" apart.
func pinned(image string) play.Base {
	ref, dgst, _ := strings.Cut(image, "@")
	if named, err := reference.ParseNormalizedNamed(ref); err == nil {
		ref = reference.FamiliarString(named)
	}
	return play.Base{Ref: ref, Digest: dgst}
}

// canonical is an image reference with everything that may be left out, or ref itself if it is none.
func canonical(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return reference.TagNameOnly(named).String()
}

// step is the first step of a vertex that the daemon reports, or nil.
func (j *join) step(vertex digest.Digest) *play.Step {
	for d, to := range j.solved {
		if to == vertex && len(j.steps[d]) > 0 {
			return &j.plan.Steps[j.steps[d][0]-1]
		}
	}
	return nil
}

// first is the first step of an operation of the definition, or nil.
func (j *join) first(op digest.Digest) *play.Step {
	if n := j.steps[op]; len(n) > 0 {
		return &j.plan.Steps[n[0]-1]
	}
	return nil
}

// fromContext reports whether an operation is the build context.
func (j *join) fromContext(op digest.Digest) bool {
	return j.ops[op].GetSource().GetIdentifier() == "local://"+dockerui.DefaultLocalNameContext
}

// sources lists the paths that an operation takes out of the build context.
func (j *join) sources(op *pb.Op) []string {
	var paths []string
	for _, m := range op.GetExec().GetMounts() {
		if m.MountType == pb.MountType_BIND && m.Input >= 0 && int(m.Input) < len(op.Inputs) && j.fromContext(digest.Digest(op.Inputs[m.Input].Digest)) {
			paths = append(paths, m.Selector)
		}
	}
	for _, a := range op.GetFile().GetActions() {
		c := a.GetCopy()
		if c == nil || a.SecondaryInput < 0 || int(a.SecondaryInput) >= len(op.Inputs) {
			continue
		}
		if j.fromContext(digest.Digest(op.Inputs[a.SecondaryInput].Digest)) {
			paths = append(paths, c.Src)
		}
	}
	return paths
}

// layers are the steps that made the layers of the result, lowest first, without those of the base image: every
// operation between the base and the result makes one.
func (j *join) layers() []int {
	if j.head == "" {
		return nil
	}
	return j.layersOf(j.head)
}

func (j *join) layersOf(d digest.Digest) []int {
	op := j.ops[d]
	var below []pb.InputIndex
	switch {
	case op.GetExec() != nil:
		for _, m := range op.GetExec().Mounts {
			if m.Dest == pb.RootMount {
				below = append(below, pb.InputIndex(m.Input))
			}
		}
	case op.GetFile() != nil:
		below = append(below, pb.InputIndex(op.GetFile().Actions[0].Input))
	case op.GetMerge() != nil:
		var all []int
		for _, in := range op.GetMerge().Inputs {
			all = append(all, j.layersOf(digest.Digest(op.Inputs[in.Input].Digest))...)
		}
		return all
	default:
		return nil
	}
	var all []int
	for _, i := range below {
		if i >= 0 && int(i) < len(op.Inputs) {
			all = append(all, j.layersOf(digest.Digest(op.Inputs[i].Digest))...)
		}
	}
	step := 0
	if s := j.first(d); s != nil {
		step = s.N
	}
	return append(all, step)
}
