package dockerfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// command adds BuildKit's typed instruction, or the problem that it has with it.
func (o *Outline) command(in *Instruction, n *parser.Node) {
	if in.Name == "ONBUILD" && n.Next != nil && len(n.Next.Children) == 1 {
		o.onBuild(in, n)
		if in.Err != nil {
			return
		}
	}
	in.Command, in.Err = parseCommand(n)
	if in.Err != nil {
		o.refused(in, n)
	}
}

// parseCommand is instructions.ParseInstruction without panics.
func parseCommand(n *parser.Node) (cmd any, err error) {
	defer func() {
		if p := recover(); p != nil {
			cmd, err = nil, fmt.Errorf("the parser failed: %v", p)
		}
	}()
	// Without a linter it panics on "# check=" above an instruction.
	if cmd, err = instructions.ParseInstructionWithLinter(n, linter.New(&linter.Config{})); err != nil {
		return nil, err // cmd is a typed nil
	}
	return cmd, nil
}

// onBuild reads what an ONBUILD triggers. It can't be another ONBUILD, so one level is enough.
func (o *Outline) onBuild(in *Instruction, n *parser.Node) {
	child := n.Next.Children[0]
	if strings.EqualFold(child.Value, command.Onbuild) {
		in.Err = errors.New("an ONBUILD can't trigger another ONBUILD")
		o.problem(ParseError, o.head(in), "An ONBUILD can't trigger another ONBUILD.")
		return
	}
	child.Heredocs = n.Heredocs
	child.StartLine, child.EndLine = n.StartLine, n.EndLine
	sub := o.parts(in.text.slice(in.Args[0].Offset))
	sub.N, sub.Range.End, sub.Heredocs = in.N, in.Range.End, in.Heredocs
	in.OnBuild = &sub
	if sub.Command, sub.Err = parseCommand(child); sub.Err != nil {
		in.Err = sub.Err
		o.refused(&sub, child)
	}
}

// refused notes why BuildKit can't make sense of an instruction that its parser could split.
func (o *Outline) refused(in *Instruction, n *parser.Node) {
	if unknown, ok := errors.AsType[*instructions.UnknownInstructionError](in.Err); ok {
		if in.Name == "" {
			o.problem(ParseError, in.Range, "There is no instruction on this line.")
		} else if near := nearest(in.Name); near != "" {
			o.problem(UnknownInstruction, in.NameRange, "There is no instruction %s: did you mean %s?", clip(unknown.Instruction), near)
		} else {
			o.problem(UnknownInstruction, in.NameRange, "There is no instruction %s.", clip(unknown.Instruction))
		}
		return
	}
	if i, err := wrongFlag(n); err != nil && i < len(in.Flags) {
		o.problem(InvalidFlag, in.Flags[i].Range, "%s: %s.", in.Name, reason(err))
		return
	}
	o.problem(ParseError, o.head(in), "%s can't be read: %s.", in.Name, reason(in.Err))
}

// wrongFlag tells by trial whether one flag of an instruction is what is wrong with it.
func wrongFlag(n *parser.Node) (int, error) {
	for i := range min(len(n.Flags), 32) {
		upTo := *n
		upTo.Flags = n.Flags[:i]
		if _, err := parseCommand(&upTo); err != nil {
			return 0, nil // wrong without it too
		}
		upTo.Flags = n.Flags[:i+1]
		if _, err := parseCommand(&upTo); err != nil {
			return i, err
		}
	}
	return 0, nil
}
