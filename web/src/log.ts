// The lines of a build: all of them in the log panel, each step's last ones in the step. The page stays
// bounded; what is left out is in the log's text, and said.

import { byId, later } from "./dom";
import { count } from "./words";

const chunkRows = 100;
const stepRows = 200; // as StepLines in pages.go
const maxRows = 5000; // as LogLines in pages.go

export class Log {
  private readonly box: HTMLElement;
  private readonly only: HTMLSelectElement | null;
  private readonly find: HTMLInputElement | null;
  private readonly follow: HTMLInputElement | null;
  private readonly omitted: HTMLElement | null;
  private rows: number;
  private readonly steps = new Set<string>();

  constructor(box: HTMLElement) {
    this.box = box;
    this.only = byId<HTMLSelectElement>("log-only");
    this.find = byId<HTMLInputElement>("log-find");
    this.follow = byId<HTMLInputElement>("log-follow");
    this.omitted = byId("log-omitted");
    const rows = box.querySelectorAll<HTMLElement>(".line");
    this.rows = rows.length;
    for (const r of rows) this.know(r.dataset["step"]);
    this.only?.addEventListener("change", () => this.filter());
    this.find?.addEventListener("input", later(100, () => this.filter()));
    this.follow?.addEventListener("change", () => this.toEnd());
    box.addEventListener("scroll", () => {
      if (this.follow && box.clientHeight > 0) this.follow.checked = this.atEnd();
    });
  }

  // showOnly shows one step's lines, or all for "".
  showOnly(step: string): void {
    if (this.only) this.only.value = step;
    this.filter();
  }

  // add puts rows at the end, or in the place of those with the same id.
  add(rows: Iterable<HTMLElement>): void {
    const bySteps = new Map<string, HTMLElement[]>();
    for (const row of rows) {
      const old = byId(row.id);
      if (old) {
        old.replaceWith(row);
      } else {
        let chunk = this.box.lastElementChild;
        if (!chunk || chunk.childElementCount >= chunkRows) {
          chunk = document.createElement("div");
          chunk.className = "chunk";
          this.box.append(chunk);
        }
        chunk.append(row);
        this.rows++;
      }
      this.know(row.dataset["step"]);
      row.hidden = this.hides(row);
      const step = row.dataset["step"];
      if (!step) continue;
      const some = bySteps.get(step);
      if (some) some.push(row);
      else bySteps.set(step, [row]);
    }
    for (const [step, some] of bySteps) this.inStep(step, some);
    this.trim();
    if (this.find?.value) this.tell();
  }

  // toEnd scrolls to the last line, if the reader follows.
  toEnd(): void {
    if (this.follow?.checked) this.box.scrollTop = this.box.scrollHeight;
  }

  private atEnd(): boolean {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 24;
  }

  private know(step: string | undefined): void {
    if (!step || this.steps.has(step) || !this.only) return;
    this.steps.add(step);
    const option = new Option(`step ${step}`, step);
    const after = [...this.only.options].find((o) => Number(o.value) > Number(step));
    this.only.add(option, after ?? null);
  }

  private hides(row: HTMLElement): boolean {
    const only = this.only?.value ?? "";
    if (only !== "" && row.dataset["step"] !== only) return true;
    const words = this.find?.value.toLowerCase() ?? "";
    return words !== "" && !row.lastElementChild?.textContent?.toLowerCase().includes(words);
  }

  private filter(): void {
    for (const row of this.box.querySelectorAll<HTMLElement>(".line")) row.hidden = this.hides(row);
    this.tell();
    this.toEnd();
  }

  // tell says how many lines hold what is searched for.
  private tell(): void {
    const found = byId("log-found");
    const shown = this.box.querySelectorAll(".line:not([hidden])").length;
    if (found) found.textContent = this.find?.value ? count(shown, "line") : "";
  }

  // inStep shows copies of rows in their step, whose log keeps its last ones. Sizes are read once, not for
  // every row: reading them makes the browser lay out the page.
  private inStep(step: string, rows: HTMLElement[]): void {
    const now = byId(`now-${step}`);
    const last = rows.at(-1)?.lastElementChild?.textContent?.trimEnd();
    if (now && last) now.textContent = last.slice(0, 200);
    const box = byId(`log-${step}`);
    if (!box) return;
    // A box that is out of sight shows its end when it is opened.
    const end = !box.closest("details:not([open]), [hidden]") && box.scrollHeight - box.scrollTop - box.clientHeight < 24;
    const newest = Number((box.lastElementChild as HTMLElement | null)?.dataset["n"] ?? 0);
    const fresh = document.createDocumentFragment();
    for (const row of rows.slice(-stepRows)) {
      const copy = document.createElement("div");
      copy.className = "line";
      copy.dataset["n"] = row.id.slice(1);
      for (const c of row.lastElementChild?.childNodes ?? []) copy.append(c.cloneNode(true));
      const old = Number(copy.dataset["n"]) <= newest && box.querySelector(`:scope > [data-n="${copy.dataset["n"]}"]`);
      if (old) old.replaceWith(copy);
      else fresh.append(copy);
    }
    box.append(fresh);
    while (box.childElementCount > stepRows) box.firstElementChild?.remove();
    if (end) box.scrollTop = box.scrollHeight;
  }

  private trim(): void {
    while (this.rows > maxRows) {
      const first = this.box.firstElementChild;
      if (!first) return;
      this.rows -= first.childElementCount;
      first.remove();
    }
    const n = Number(this.box.querySelector(".line")?.id.slice(1) ?? 1) - 1;
    if (this.omitted && n > 0) {
      this.omitted.hidden = false;
      const where = this.omitted.querySelector(".n");
      if (where) where.textContent = n.toLocaleString("en");
    }
  }
}
