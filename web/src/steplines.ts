// The colours of steps on the lines of the Dockerfile. They move with the text. The colours of a build stay only on
// lines that still read as they were built.

import { RangeSetBuilder, StateEffect, StateField, type EditorState, type Extension, type TransactionSpec } from "@codemirror/state";
import { Decoration, EditorView, type DecorationSet } from "@codemirror/view";

export interface StepRange {
  n: number;
  colour: string; // hue-1 to hue-8
  from: number; // lines, from 1
  to: number;
}

// A Mark is one coloured line.
interface Mark {
  n: number; // of its step
  colour: string;
  at: number; // where the line begins
  text: string | null; // what it must read; null: whatever
}

interface Steps {
  marks: Mark[];
  lit: number;
  lines: DecorationSet; // as drawn
}

const setSteps = StateEffect.define<{ steps: StepRange[]; built: boolean }>();
const setLit = StateEffect.define<number>();

function marksOf(state: EditorState, steps: StepRange[], built: boolean): Mark[] {
  const out: Mark[] = [];
  for (const s of steps) {
    for (let l = Math.max(s.from, 1); l <= Math.min(s.to, state.doc.lines); l++) {
      const line = state.doc.line(l);
      out.push({ n: s.n, colour: s.colour, at: line.from, text: built ? line.text : null });
    }
  }
  return out;
}

function draw(state: EditorState, marks: Mark[], lit: number): DecorationSet {
  const b = new RangeSetBuilder<Decoration>();
  let last = -1;
  for (const m of marks) {
    const line = state.doc.lineAt(m.at);
    if (line.from <= last || (m.text !== null && m.text !== line.text)) continue;
    last = line.from;
    const attributes = { class: `step-line ${m.colour}${m.n === lit ? " lit" : ""}`, "data-step": String(m.n) };
    b.add(last, last, Decoration.line({ attributes, n: m.n }));
  }
  return b.finish();
}

const field = StateField.define<Steps>({
  create: () => ({ marks: [], lit: 0, lines: Decoration.none }),
  update(value, tr) {
    let { marks, lit } = value;
    if (tr.docChanged) marks = marks.map((m) => ({ ...m, at: tr.changes.mapPos(m.at, 1) }));
    for (const e of tr.effects) {
      if (e.is(setSteps)) marks = marksOf(tr.state, e.value.steps, e.value.built);
      if (e.is(setLit)) lit = e.value;
    }
    if (marks === value.marks && lit === value.lit) return value;
    return { marks, lit, lines: draw(tr.state, marks, lit) };
  },
  provide: (f) => EditorView.decorations.from(f, (v) => v.lines),
});

export function stepLines(): Extension {
  return field;
}

// colour is the change that gives the lines of steps their colours; built says that they are of a build.
export function colour(steps: StepRange[], built: boolean): TransactionSpec {
  return { effects: setSteps.of({ steps, built }) };
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
