// The files on the left: which there are, which have a tab, which one is in front, what is typed in them.

import { askName } from "./ask";
import { Code, type Buffer } from "./code";
import { stretch, type Range } from "./columns";
import { announce, byId, el } from "./dom";
import { marksOf, worst, type Finding } from "./findings";
import { inOrder, size, wrongName, wrongSize, type Limits, type Source } from "./files";
import { say } from "./say";
import { drawTabs, drawTree, type Shown } from "./tree";
import { binarySize } from "./words";

interface Entry {
  source: Source;
  buffer: Buffer | null; // null until it is opened, and for files that are not text
}

export class Workspace {
  private entries = new Map<string, Entry>();
  private tabs: string[] = [];
  private front = "";
  private findings: Finding[] = [];
  private readonly pane = byId("code") as HTMLElement;
  private readonly binary = el("div", { class: "empty", hidden: true });

  constructor(
    private readonly code: Code,
    private readonly limits: Limits,
    private readonly readOnly: boolean,
    private readonly dockerfile: () => string,
    private readonly changed: () => void,
  ) {
    this.pane.append(this.binary);
  }

  // load replaces everything.
  load(files: Source[], front: string): void {
    this.entries = new Map(files.map((f) => [f.path, { source: f, buffer: null }]));
    this.front = "";
    const first = this.entries.has(front) ? front : (this.order()[0] ?? "");
    this.tabs = this.order().slice(0, 4);
    if (first && !this.tabs.includes(first)) this.tabs.push(first);
    if (first) this.open(first);
    else this.empty();
  }

  // files are the files as they are now.
  files(): Source[] {
    return this.order().map((path) => this.fresh(path)).filter((f): f is Source => f !== null);
  }

  // edited takes over what was typed in the file in front.
  edited(): void {
    const e = this.entries.get(this.front);
    if (e) e.source.bytes = null;
    this.changed();
  }

  // buffer is the buffer of a file that was opened.
  buffer(path: string): Buffer | null {
    return this.entries.get(path)?.buffer ?? null;
  }

  open(path: string): void {
    const e = this.entries.get(path);
    if (!e) return;
    if (!this.tabs.includes(path)) this.tabs.push(path);
    this.front = path;
    this.binary.hidden = e.source.text !== null;
    this.code.view.dom.hidden = e.source.text === null;
    if (e.source.text === null) {
      this.binary.replaceChildren(
        el("p", {}, `This file is not text. It has ${binarySize(size(e.source))}.`),
        el("p", { class: "hint" }, "It is part of the build context as it is."),
      );
    } else {
      e.buffer ??= this.code.buffer(path, e.source.text);
      this.code.show(e.buffer);
      this.code.mark(e.buffer, marksOf(this.findings, path, this.code.stateOf(e.buffer).doc));
    }
    this.draw();
  }

  // goTo opens a file at a place.
  goTo(path: string, range: Range): void {
    this.open(path);
    const b = this.buffer(path);
    if (!b) return;
    const { from, to } = stretch(this.code.stateOf(b).doc, range);
    this.code.select(from, to);
  }

  show(findings: Finding[]): void {
    this.findings = findings;
    const b = this.buffer(this.front);
    if (b) this.code.mark(b, marksOf(findings, this.front, this.code.stateOf(b).doc));
    this.draw();
  }

  async create(): Promise<void> {
    const name = await askName("New file", this.entries.size === 0 ? "Dockerfile" : "", "Add", (n) => wrongName(n, [...this.entries.keys()]));
    if (name) this.add([{ path: name, exec: false, eol: "lf", text: "", bytes: null }]);
  }

  // add puts files beside the others, in place of those with the same name, unless a limit forbids it.
  add(files: Source[]): void {
    const next = new Map(this.entries);
    for (const f of files) {
      const clash = wrongName(f.path, [...next.keys()].filter((p) => p !== f.path));
      if (clash) return say(`${f.path}: ${clash}`, "error");
      next.set(f.path, { source: f, buffer: null });
    }
    const all = [...next].map(([path, e]) => (this.entries.get(path) === e ? (this.fresh(path) ?? e.source) : e.source));
    const wrong = wrongSize(all, this.limits, binarySize);
    if (wrong) return say(wrong, "error");
    this.entries = next;
    const first = files[0];
    if (first) this.open(first.path);
    this.code.view.focus();
    this.changed();
    announce(files.length === 1 ? `${first?.path} was added` : `${files.length} files were added`);
  }

  async rename(path: string): Promise<void> {
    const e = this.entries.get(path);
    if (!e) return;
    const others = [...this.entries.keys()].filter((p) => p !== path);
    const name = await askName("Rename", path, "Rename", (n) => wrongName(n, others));
    const source = this.fresh(path);
    if (!name || name === path || !source) return;
    this.entries.delete(path);
    this.entries.set(name, { source: { ...source, path: name }, buffer: null });
    this.tabs = this.tabs.map((t) => (t === path ? name : t));
    this.open(this.front === path ? name : this.front);
    this.changed();
  }

  remove(path: string): void {
    const e = this.entries.get(path);
    if (!e) return;
    const source = this.fresh(path) ?? e.source;
    this.entries.delete(path);
    this.close(path);
    this.changed();
    say(`${path} was deleted.`, "info", { name: "Undo", do: () => this.add([source]) });
  }

  close(path: string): void {
    const at = this.tabs.indexOf(path);
    this.tabs = this.tabs.filter((t) => t !== path);
    const next = this.tabs[Math.min(Math.max(at, 0), this.tabs.length - 1)] ?? this.order()[0];
    if (path === this.front && next) this.open(next);
    else if (path === this.front) this.empty();
    else this.draw();
  }

  private empty(): void {
    this.front = "";
    this.code.view.dom.hidden = true;
    this.binary.hidden = false;
    this.binary.replaceChildren(el("p", {}, "There are no files. Add a Dockerfile."));
    this.draw();
  }

  // fresh is a file with what is typed in it now.
  private fresh(path: string): Source | null {
    const e = this.entries.get(path);
    if (!e) return null;
    if (e.buffer && e.source.bytes === null) e.source.text = this.code.text(e.buffer);
    return { ...e.source };
  }

  private order(): string[] {
    return inOrder([...this.entries.values()].map((e) => e.source), this.dockerfile()).map((f) => f.path);
  }

  private draw(): void {
    const shown: Shown = {
      paths: this.order(),
      tabs: this.tabs,
      front: this.front,
      worst: (path) => worst(this.findings, path),
      readOnly: this.readOnly,
    };
    const list = byId("tree-list");
    const bar = byId("tabs-files");
    const ask = {
      open: (p: string) => this.open(p),
      close: (p: string) => this.close(p),
      rename: (p: string) => void this.rename(p),
      remove: (p: string) => this.remove(p),
    };
    if (list) drawTree(list, shown, ask);
    if (bar) drawTabs(bar, shown, ask);
  }
}
