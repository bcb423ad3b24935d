// The editor's set-up: one view, one state per file.

import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { HighlightStyle, bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, setDiagnostics, type Diagnostic as Mark } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension, type TransactionSpec } from "@codemirror/state";
import {
  EditorView,
  crosshairCursor,
  drawSelection,
  dropCursor,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  rectangularSelection,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";

import { language } from "./languages";
import { stepLines } from "./steplines";

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--syntax-keyword)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: "var(--syntax-string)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--syntax-number)" },
  { tag: [tags.variableName, tags.propertyName, tags.attributeName, tags.definition(tags.variableName)], color: "var(--syntax-name)" },
  { tag: [tags.tagName, tags.typeName, tags.className], color: "var(--syntax-keyword)" },
  { tag: [tags.comment, tags.meta], color: "var(--syntax-comment)" },
]);

const looks = EditorView.theme({
  "&": { height: "100%" },
  ".cm-content": { padding: "8px 0", caretColor: "var(--accent)" },
  ".cm-line": { padding: "0 16px 0 8px" },
  ".cm-gutters": { background: "var(--panel)", color: "var(--quiet)", border: "0", fontSize: "12px" },
  ".cm-lineNumbers .cm-gutterElement": { padding: "0 8px 0 4px", minWidth: "32px" },
  ".cm-activeLine": { backgroundColor: "color-mix(in oklab, var(--accent) 6%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--text)" },
  "&.cm-focused .cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  "& > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground":
    { background: "color-mix(in oklab, var(--accent) 24%, transparent)" },
  ".cm-selectionMatch": { background: "color-mix(in oklab, var(--accent) 14%, transparent)" },
  ".cm-tooltip": {
    background: "var(--raised)",
    border: "1px solid var(--line)",
    borderRadius: "6px",
    boxShadow: "0 6px 20px rgb(0 0 0 / .18)",
    maxWidth: "480px",
  },
  ".cm-diagnostic": { padding: "6px 12px", fontFamily: "var(--sans)", borderLeftWidth: "3px" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--warn)" },
  ".cm-diagnostic-info": { borderLeftColor: "var(--accent)" },
  ".cm-lintRange-error": { background: "none", textDecoration: "underline wavy var(--bad) 1px", textUnderlineOffset: "3px" },
  ".cm-lintRange-warning": { background: "none", textDecoration: "underline wavy var(--warn) 1px", textUnderlineOffset: "3px" },
  ".cm-lintRange-info": { background: "none", textDecoration: "underline dotted var(--accent) 1.5px", textUnderlineOffset: "3px" },
  ".cm-gutter-lint": { width: "18px" },
  ".cm-gutter-lint .cm-gutterElement": { padding: "2px 1px" },
  ".cm-lint-marker": { width: "8px", height: "8px", margin: "4px", content: "none", borderRadius: "50%" },
  ".cm-lint-marker-error": { content: "none", background: "var(--bad)", borderRadius: "1px", transform: "rotate(45deg)" },
  ".cm-lint-marker-warning": { content: "none", background: "var(--warn)" },
  ".cm-lint-marker-info": { content: "none", border: "2px solid var(--accent)" },
  ".cm-panels": { background: "var(--sunk)", color: "var(--text)", fontFamily: "var(--sans)" },
  ".cm-panels.cm-panels-bottom": { borderTop: "1px solid var(--line)" },
  ".cm-button": { backgroundImage: "none", background: "var(--panel)", border: "1px solid var(--line-strong)", borderRadius: "6px" },
  ".cm-textfield": { background: "var(--panel)", border: "1px solid var(--line-strong)", borderRadius: "6px", color: "var(--text)" },
});

export interface Hooks {
  edited(): void;
  moved(line: number): void; // the cursor, by the person
}

// A Buffer is one file in the editor: its text, undo history, cursor and marks.
export interface Buffer {
  readonly path: string;
  readonly mode: Compartment;
  state: EditorState; // current only while another buffer is in front; see Code.text
  coloured: boolean;
}

// Code is the one view, and shows one buffer at a time.
export class Code {
  readonly view: EditorView;
  private readonly shared: Extension;
  private front: Buffer | null = null;

  constructor(
    private readonly parent: HTMLElement,
    nonce: string,
    private readonly readOnly: boolean,
    hooks: Hooks,
  ) {
    this.shared = [
      EditorView.cspNonce.of(nonce),
      lineNumbers(),
      lintGutter(),
      highlightSpecialChars(),
      history(),
      drawSelection(),
      dropCursor(),
      indentOnInput(),
      bracketMatching(),
      rectangularSelection(),
      crosshairCursor(),
      highlightActiveLine(),
      highlightActiveLineGutter(),
      highlightSelectionMatches(),
      EditorView.lineWrapping,
      indentUnit.of("    "),
      syntaxHighlighting(colours),
      looks,
      stepLines(),
      keymap.of([...defaultKeymap, ...searchKeymap, ...historyKeymap, indentWithTab]),
      EditorState.readOnly.of(readOnly),
      EditorView.updateListener.of((u) => {
        if (u.docChanged) hooks.edited();
        if (u.selectionSet && u.transactions.some((t) => t.isUserEvent("select"))) {
          hooks.moved(u.state.doc.lineAt(u.state.selection.main.head).number);
        }
      }),
    ];
    this.view = new EditorView({ state: EditorState.create({ extensions: this.shared }) });
  }

  buffer(path: string, text: string): Buffer {
    const mode = new Compartment();
    const label = this.readOnly ? `${path}, read only` : `${path}, editor; Escape, then Tab leaves it`;
    const state = EditorState.create({
      doc: text,
      extensions: [
        this.shared,
        mode.of([]),
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", autocapitalize: "off" }),
      ],
    });
    return { path, mode, state, coloured: false };
  }

  // text is what a buffer holds now.
  text(b: Buffer): string {
    return this.stateOf(b).doc.toString();
  }

  stateOf(b: Buffer): EditorState {
    return b === this.front ? this.view.state : b.state;
  }

  // show puts a buffer in front; its language comes in as soon as it is there.
  show(b: Buffer): void {
    if (b === this.front) return;
    if (this.front) this.front.state = this.view.state;
    this.front = b;
    this.view.setState(b.state);
    // Only now: a view outside of the page is set up without laying anything out.
    if (!this.view.dom.isConnected) this.parent.prepend(this.view.dom);
    if (b.coloured) return;
    b.coloured = true;
    void language(b.path).then((l) => this.dispatch(b, { effects: b.mode.reconfigure(l) }));
  }

  // dispatch changes a buffer, whether it is in front or not.
  dispatch(b: Buffer, change: TransactionSpec): void {
    if (b === this.front) this.view.dispatch(change);
    else b.state = b.state.update(change).state;
  }

  mark(b: Buffer, marks: Mark[]): void {
    this.dispatch(b, setDiagnostics(this.stateOf(b), marks));
  }

  // select goes to a stretch of the text in front and shows it.
  select(from: number, to: number): void {
    this.view.dispatch({ selection: { anchor: from, head: to }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
    this.view.focus();
  }
}
