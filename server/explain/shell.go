package explain

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// script is what a shell text does, in outline.
type script struct {
	calls    []call
	and      bool // && joins commands
	then     bool // a ; or a new line does
	stops    bool // set -e
	branches bool // if, for, while, case, ||
}

// call is one command with its words as written, but for quotes around plain text.
type call struct {
	words    []string
	from, to int    // offsets in the text
	writesTo string // file that its output goes to
}

// maxOpen bounds the nesting that a text may have, by a count that is never too low: the parser recurses.
const maxOpen = 1000

// parse reads a shell text; ok is false if it isn't one that bash would take.
func parse(text string) (s script, ok bool) {
	open := 0
	for _, mark := range []string{"(", "{", "`", "if", "do", "case"} {
		open += strings.Count(text, mark)
	}
	if open > maxOpen {
		return s, false
	}
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return s, false
	}
	s.then = len(f.Stmts) > 1
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst, *syntax.ProcSubst, *syntax.FuncDecl:
			return false // they make words, or nothing yet
		case *syntax.BinaryCmd:
			switch n.Op {
			case syntax.AndStmt:
				s.and = true
			case syntax.OrStmt:
				s.branches = true
			}
		case *syntax.IfClause, *syntax.ForClause, *syntax.WhileClause, *syntax.CaseClause:
			s.branches = true
		case *syntax.Stmt:
			c, ok := n.Cmd.(*syntax.CallExpr)
			if !ok || len(c.Args) == 0 {
				return true
			}
			one := call{from: int(n.Pos().Offset()), to: int(c.End().Offset())}
			for _, w := range c.Args {
				one.words = append(one.words, word(text, w))
			}
			for _, redirect := range n.Redirs {
				one.to = max(one.to, int(redirect.Word.End().Offset()))
				switch redirect.Op {
				case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.RdrAll, syntax.AppAll:
					if redirect.N == nil || redirect.N.Value == "1" {
						one.writesTo = word(text, redirect.Word)
					}
				}
			}
			if one.words[0] == "set" && len(one.words) > 1 && strings.HasPrefix(one.words[1], "-") && strings.Contains(one.words[1], "e") {
				s.stops = true
			}
			s.calls = append(s.calls, one)
		}
		return true
	})
	return s, true
}

// word is a word without its quotes if it is plain text, and as written if not.
func word(text string, w *syntax.Word) string {
	var b strings.Builder
	for _, part := range w.Parts {
		switch p := part.(type) {
		case *syntax.Lit:
			b.WriteString(p.Value)
			continue
		case *syntax.SglQuoted:
			if !p.Dollar {
				b.WriteString(p.Value)
				continue
			}
		case *syntax.DblQuoted:
			plain := true
			for _, inner := range p.Parts {
				lit, ok := inner.(*syntax.Lit)
				plain = plain && ok && !strings.Contains(lit.Value, `\`)
			}
			if plain && !p.Dollar {
				for _, inner := range p.Parts {
					b.WriteString(inner.(*syntax.Lit).Value)
				}
				continue
			}
		}
		from, to := int(part.Pos().Offset()), int(part.End().Offset())
		b.WriteString(text[min(from, len(text)):min(max(from, to), len(text))])
	}
	return b.String()
}
