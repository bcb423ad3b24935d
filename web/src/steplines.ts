// The colours of steps on the lines of the Dockerfile. They move with the text until the steps are drawn anew.

import { RangeSet, RangeSetBuilder, StateEffect, StateField, type EditorState, type Extension, type TransactionSpec } from "@codemirror/state";
import { Decoration, EditorView, type DecorationSet } from "@codemirror/view";

export interface StepRange {
  n: number;
  colour: string; // hue-1 to hue-8
  from: number; // lines, from 1
  to: number;
}

const setSteps = StateEffect.define<StepRange[]>();
const setLit = StateEffect.define<number>();

interface Steps {
  lines: DecorationSet;
  lit: number;
}

function line(n: number, colour: string, lit: boolean): Decoration {
  return Decoration.line({ class: `step-line ${colour}${lit ? " lit" : ""}`, attributes: { "data-step": String(n) }, n, colour });
}

function draw(state: EditorState, steps: StepRange[], lit: number): DecorationSet {
  const b = new RangeSetBuilder<Decoration>();
  for (const s of steps) {
    for (let l = Math.max(s.from, 1); l <= Math.min(s.to, state.doc.lines); l++) {
      const at = state.doc.line(l).from;
      b.add(at, at, line(s.n, s.colour, s.n === lit));
    }
  }
  return b.finish();
}

// relight draws the lines that begin or cease to be lit.
function relight(lines: DecorationSet, old: number, lit: number): DecorationSet {
  const change: { from: number; value: Decoration }[] = [];
  lines.between(0, 1e9, (from, _to, d) => {
    const { n, colour } = d.spec as { n: number; colour: string };
    if (n === old || n === lit) change.push({ from, value: line(n, colour, n === lit) });
  });
  return lines.update({
    filter: (_f, _t, d) => (d.spec as { n: number }).n !== old && (d.spec as { n: number }).n !== lit,
    add: change.map((c) => c.value.range(c.from)),
  });
}

const field = StateField.define<Steps>({
  create: () => ({ lines: RangeSet.empty, lit: 0 }),
  update(value, tr) {
    let { lines, lit } = value;
    if (tr.docChanged) lines = lines.map(tr.changes);
    for (const e of tr.effects) {
      if (e.is(setSteps)) lines = draw(tr.state, e.value, lit);
      if (e.is(setLit) && e.value !== lit) {
        lines = relight(lines, lit, e.value);
        lit = e.value;
      }
    }
    return lines === value.lines && lit === value.lit ? value : { lines, lit };
  },
  provide: (f) => EditorView.decorations.from(f, (v) => v.lines),
});

export function stepLines(): Extension {
  return field;
}

// colour is the change that gives the lines of steps their colours.
export function colour(steps: StepRange[]): TransactionSpec {
  return { effects: setSteps.of(steps) };
}

// light is the change that marks the lines of one step; 0 is none.
export function light(step: number): TransactionSpec {
  return { effects: setLit.of(step) };
}

// stepAt is the step of a line of the text, or 0.
export function stepAt(state: EditorState, n: number): number {
  let step = 0;
  const { from } = state.doc.line(n);
  state.field(field).lines.between(from, from, (at, _to, d) => {
    if (at === from) step = (d.spec as { n: number }).n;
  });
  return step;
}
