// What the server says about the text while it is typed: findings, and the steps before any build. Answers that
// come too late are dropped.

import { Refusal, call } from "./api";
import { later } from "./dom";
import type { Finding } from "./findings";
import { toWire, type Source, type Wire } from "./files";

// The content of long files changes no finding; only their names are sent.
const sentBytes = 64 << 10;

export interface Asking {
  files(): Source[];
  text(): Record<string, unknown>;
  found(findings: Finding[]): void;
  steps(html: string): void;
  wantsSteps(): boolean;
  failed(refusal: Refusal): void;
}

export class Analysis {
  readonly lintSoon: () => void;
  readonly stepsSoon: () => void;
  private running: Record<string, AbortController> = {};

  constructor(private readonly asking: Asking) {
    this.lintSoon = later(150, () => void this.lint());
    this.stepsSoon = later(350, () => void this.steps());
  }

  // changed asks again, soon.
  changed(): void {
    this.lintSoon();
    this.stepsSoon();
  }

  private async lint(): Promise<void> {
    const answer = await this.ask("lint", "/api/v1/lint");
    if (!answer) return;
    const { diagnostics } = (await answer.json()) as { diagnostics: Finding[] | null };
    this.asking.found(diagnostics ?? []);
  }

  private async steps(): Promise<void> {
    if (!this.asking.wantsSteps()) return;
    const answer = await this.ask("steps", "/steps");
    if (answer && this.asking.wantsSteps()) this.asking.steps(await answer.text());
  }

  // ask posts the text; null: something newer was asked since, or there is no answer.
  private async ask(what: string, path: string): Promise<Response | null> {
    this.running[what]?.abort();
    const mine = new AbortController();
    this.running[what] = mine;
    try {
      const answer = await call("POST", path, { files: this.sent(), ...this.asking.text() }, { signal: mine.signal });
      return this.running[what] === mine ? answer : null;
    } catch (e) {
      if (e instanceof Refusal && this.running[what] === mine && what === "lint") this.asking.failed(e);
      return null;
    }
  }

  private sent(): Record<string, Wire> {
    const dockerfile = this.asking.text()["dockerfile"];
    const out: Record<string, Wire> = {};
    for (const f of this.asking.files()) {
      const whole = f.path === dockerfile || f.path.endsWith(".dockerignore");
      out[f.path] = whole || (f.text !== null && f.text.length < sentBytes) ? toWire(f) : "";
    }
    return out;
  }
}
