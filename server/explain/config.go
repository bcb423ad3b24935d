package explain

import (
	"slices"
	"strings"

	"slipway/server/play"
	"slipway/server/view"
)

// settle fills in what hung on an unknown base image from the configuration of the finished image: what no
// instruction of the target has set since, the image has from its base.
func settle(steps []Step, t *view.Timeline) {
	if t.Exported == nil {
		return
	}
	var final *State
	chain := make(map[int]bool) // the target's stage and those it stands on
	for i, ok := t.Plan.Target, true; ok && i >= 0 && i < len(t.Plan.Stages); {
		chain[i] = true
		base := t.Plan.Stages[i].Base.Stage
		if ok = base != nil && *base < i; ok {
			i = *base
		}
	}
	for i := range steps {
		if steps[i].Stage == t.Plan.Target {
			final = &steps[i].After
		}
	}
	if final == nil || len(final.Unknown) == 0 {
		return
	}
	from := based(final.Base, t.Exported.Config)
	from.Env = slices.DeleteFunc(from.Env, func(v Var) bool { return has(final.Env, v.Name) })
	from.Labels = slices.DeleteFunc(from.Labels, func(v Var) bool { return has(final.Labels, v.Name) })
	last := *final
	for i := range steps {
		if !chain[steps[i].Stage] {
			continue
		}
		steps[i].After = settled(steps[i].After, last, from, t.Exported.Config)
		if steps[i].Instruction != "FROM" {
			steps[i].Before = settled(steps[i].Before, last, from, t.Exported.Config)
		}
	}
}

// settled is one state with what the base image gave. final is the state at the end, still without it.
func settled(s, final, from State, c play.ImageConfig) State {
	left := []string{}
	for _, field := range s.Unknown {
		if !slices.Contains(final.Unknown, field) { // an instruction sets it later; what it was before stays unknown
			left = append(left, field)
			continue
		}
		switch field {
		case fieldUser:
			s.User = from.User
		case fieldDir:
			s.WorkingDir = from.WorkingDir
		case fieldEntrypoint:
			s.Entrypoint = from.Entrypoint
		case fieldCmd:
			s.Cmd = from.Cmd
		case fieldStop:
			s.StopSignal = from.StopSignal
		case fieldHealth:
			s.Health = from.Health
		case fieldExposed:
			s.Exposed = add(without(from.Exposed, final.Exposed), s.Exposed...)
		case fieldVolumes:
			s.Volumes = add(without(from.Volumes, final.Volumes), s.Volumes...)
		case fieldLabels:
			s.Labels = append(slices.Clone(from.Labels), s.Labels...)
		case fieldEnv:
			s.Env = append(slices.Clone(from.Env), resolved(s.Env, final.Env, c)...)
			for _, v := range final.Env { // one that is set later may have been there before
				if !has(s.Env, v.Name) && !slices.Contains(left, field) {
					left = append(left, field)
				}
			}
		}
	}
	s.Unknown = left
	return s
}

// resolved are variables with the values that the image has, where no later step has set them again.
func resolved(vars, final []Var, c play.ImageConfig) []Var {
	out := slices.Clone(vars)
	for i, v := range out {
		if !strings.Contains(v.Value, "$") || !slices.Contains(final, v) {
			continue
		}
		for _, e := range c.Env {
			if name, value, _ := strings.Cut(e, "="); name == v.Name {
				out[i].Value = value
			}
		}
	}
	return out
}

func has(vars []Var, name string) bool {
	return slices.ContainsFunc(vars, func(v Var) bool { return v.Name == name })
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(w string) bool { return slices.Contains(others, w) })
}
