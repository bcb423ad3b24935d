// The editor page: it joins the files on the left with the result on the right.

import { Analysis } from "./analysis";
import { Refusal, call } from "./api";
import { chrome } from "./chrome";
import { clocks } from "./clock";
import { Code } from "./code";
import { divider } from "./divider";
import { announce, byId, el, fragment, later } from "./dom";
import { Drafts, draftOf, filesOf, same } from "./drafts";
import { draw as drawFindings } from "./findings";
import { toWire, type Source } from "./files";
import { EditorForm } from "./form";
import { pair } from "./pair";
import { patch } from "./patch";
import { attach, follow, type Result } from "./result";
import { hush, say } from "./say";
import { colour, light, stepAt, type StepRange } from "./steplines";
import { dropped, read } from "./upload";
import { Workspace } from "./workspace";

class Editor {
  private readonly form = new EditorForm(byId<HTMLFormElement>("editor") as HTMLFormElement);
  private readonly data = this.form.form.dataset; // snippet, revision, owner …
  private readonly readOnly = this.data["readOnly"] === "true";
  private readonly code: Code;
  private readonly work: Workspace;
  private readonly analysis: Analysis;
  private readonly drafts = new Drafts();
  private readonly keepSoon = later(300, () => void this.keep());
  private result: Result;
  private dirty = false; // whether the files differ from the saved revision
  private ofText = true; // whether the steps shown are of the text, not of a build
  private busy = false;

  constructor() {
    const { files, front, typed } = this.form.files(this.readOnly);
    const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.nonce ?? "";
    this.code = new Code(byId("code") as HTMLElement, nonce, this.readOnly, {
      edited: () => this.work.edited(),
      moved: (line) => this.moved(line),
    });
    this.work = new Workspace(
      this.code,
      this.form.limits,
      this.readOnly,
      () => this.form.dockerfile,
      () => this.changed(),
    );
    this.analysis = new Analysis({
      files: () => this.work.files(),
      text: () => this.form.text,
      found: (f) => {
        drawFindings(byId("problems") as HTMLElement, f);
        this.work.show(f);
      },
      steps: (html) => {
        patch(fragment(html));
        this.colourLines();
      },
      wantsSteps: () => this.ofText,
      failed: (r) => {
        if (r.status !== 0) say(r.message, "error");
      },
    });
    this.work.load(files, front);
    this.result = this.attach();
    this.colourLines();
    this.events();
    if (!this.readOnly) void this.restore();
    this.analysis.lintSoon();
    if (typed) this.changed();
  }

  // doc names what the draft is of: the snippet, or the new one.
  private get doc(): string {
    return this.data["snippet"] || "new";
  }

  private changed(): void {
    if (this.readOnly) return;
    hush("error"); // it was about the text as it was
    this.dirty = true;
    this.keepSoon();
    if (!this.ofText) this.showEdited();
    this.analysis.changed();
  }

  private attach(): Result {
    const pane = byId("result") as HTMLElement;
    this.ofText = !pane.dataset["build"];
    return attach(pane, () => this.built());
  }

  private built(): void {
    this.colourLines();
    void this.links(); // now also to the image
    const words = document.querySelector("#status .headline strong")?.textContent?.trim();
    if (words) document.title = `${words} · ${this.form.title || "Untitled snippet"} · Slipway`;
  }

  // colourLines gives the lines of the Dockerfile the colours of the steps that are shown.
  private colourLines(): void {
    const steps: StepRange[] = [];
    const stages: string[] = [];
    for (const li of document.querySelectorAll<HTMLElement>("#steps > li")) {
      if (li.dataset["stage"] !== undefined) stages.push(li.dataset["stage"]);
      const [from, to] = (li.dataset["lines"] ?? "").split("-").map(Number);
      if (!from || !to) continue;
      steps.push({ n: Number(li.dataset["step"]), colour: [...li.classList].find((c) => /^hue-\d$/.test(c)) ?? "", from, to });
    }
    this.form.targets(stages);
    const b = this.work.buffer(this.form.dockerfile);
    // The lines of a build's steps are those of its files; once the text has changed they may be others.
    if (b && (this.ofText || !this.dirty)) this.code.dispatch(b, colour(steps, !this.ofText));
  }

  private moved(line: number): void {
    const step = stepAt(this.code.view.state, line);
    this.code.view.dispatch(light(step));
    for (const li of document.querySelectorAll<HTMLElement>("#steps > .lit")) li.classList.remove("lit");
    const li = step > 0 ? byId(`step-${step}`) : null;
    li?.classList.add("lit");
    if (li && matchMedia("(min-width: 880px)").matches) li.scrollIntoView({ block: "nearest" });
  }

  // Drafts

  private async keep(): Promise<void> {
    if (this.dirty) await this.drafts.put(draftOf(this.doc, this.data["revision"] ?? "", this.form.title, this.work.files()));
  }

  private async restore(): Promise<void> {
    const draft = await this.drafts.find(this.doc);
    const notice = byId("draft");
    if (!draft || !notice || this.dirty || document.querySelector(".notice.error:not([hidden])")) return;
    const before = { title: this.form.title, files: this.work.files() };
    if (same(draft, before.title, before.files)) return void this.drafts.drop(this.doc);
    this.dirty = true;
    this.load(draft.title, filesOf(draft));
    notice.hidden = false;
    if (draft.base !== (this.data["revision"] ?? "")) {
      notice.querySelector("p")?.prepend("There is a newer revision of this snippet. ");
    }
    byId("draft-keep")?.addEventListener("click", () => (notice.hidden = true));
    byId("draft-discard")?.addEventListener("click", () => {
      notice.hidden = true;
      this.dirty = false;
      void this.drafts.drop(this.doc);
      this.load(before.title, before.files);
      announce("The draft was discarded");
    });
  }

  private load(title: string, files: Source[]): void {
    this.form.title = title;
    this.work.load(files, this.form.dockerfile);
    this.analysis.changed();
    if (!this.ofText) this.showEdited();
    this.colourLines();
  }

  // Saving and building

  // save makes a revision of what is typed and says whether that worked.
  private async save(): Promise<boolean> {
    const snippet = this.data["snippet"] ?? "";
    const own = snippet !== "" && this.data["owner"] === "true";
    const files = Object.fromEntries(this.work.files().map((f) => [f.path, toWire(f)]));
    const body = { title: this.form.title, files, ...(snippet !== "" && !own ? { forked_from: snippet } : {}) };
    const doc = this.doc;
    const answer = own
      ? await call("PUT", `/api/v1/snippets/${snippet}`, body, { headers: { "If-Match": `"${this.data["revision"]}"` } })
      : await call("POST", "/api/v1/snippets", body);
    const saved = (await answer.json()) as { id: string; revision: string };
    this.data["snippet"] = saved.id;
    this.data["revision"] = saved.revision;
    this.data["owner"] = "true";
    this.dirty = false;
    await this.drafts.drop(doc);
    const draft = byId("draft");
    if (draft) draft.hidden = true;
    if (saved.id !== snippet) {
      history.pushState(null, "", `/s/${saved.id}`);
      this.form.form.action = `/s/${saved.id}`;
      byId("copy-notice")?.remove();
      document.querySelector(".links [aria-current]")?.removeAttribute("aria-current"); // this is no new one any more
      const button = byId("save");
      if (button) button.textContent = "Save";
    }
    return true;
  }

  private async build(): Promise<void> {
    if (this.dirty || !this.data["revision"]) await this.save();
    const body = { revision: this.data["revision"], snippet: this.data["snippet"], ...this.form.build };
    const answer = await call("POST", "/api/v1/builds", body);
    const { id } = (await answer.json()) as { id: string };
    const page = fragment(await (await call("GET", `/b/${id}`)).text());
    const pane = page.querySelector<HTMLElement>("#result");
    if (!pane) throw new Refusal("The build has begun, but its page can't be read.", 0);
    this.result.detach();
    byId("result")?.replaceWith(pane);
    byId("edited")?.remove();
    this.result = this.attach();
    this.colourLines();
    announce("The build has begun");
    if (matchMedia("(max-width: 879px)").matches) pane.scrollIntoView();
  }

  // doing runs one thing at a time and tells what went wrong.
  private async doing(button: string, f: () => Promise<unknown>): Promise<void> {
    if (this.busy || this.readOnly) return;
    this.busy = true;
    hush();
    const b = byId<HTMLButtonElement>(button);
    b?.classList.add("busy");
    b?.setAttribute("aria-busy", "true");
    try {
      await f();
      void this.links();
    } catch (e) {
      this.refused(e);
    } finally {
      this.busy = false;
      b?.classList.remove("busy");
      b?.removeAttribute("aria-busy");
    }
  }

  private refused(e: unknown): void {
    if (!(e instanceof Refusal)) {
      say(`Something broke on this page: ${String(e)}`, "error");
      throw e;
    }
    void this.keep();
    if (e.place) this.work.goTo(e.place.file, e.place.range ?? { start: { line: 1, column: 1 }, end: { line: 1, column: 1 } });
    if (e.status === 409 || e.status === 412) {
      const copy = () => {
        this.data["owner"] = "false"; // then saving makes a copy
        void this.doing("save", () => this.save());
      };
      say("This snippet was changed meanwhile, in another window. What you typed is kept.", "error", { name: "Save it as a copy", do: copy });
      return;
    }
    say(e.message, "error");
  }

  // links draws the share dialog anew from the page of what was saved or built.
  private async links(): Promise<void> {
    const build = byId("result")?.dataset["build"];
    const from = build ? `/b/${build}` : `/s/${this.data["snippet"]}`;
    try {
      const page = fragment(await (await call("GET", from)).text());
      const fresh = page.querySelector("#share-links");
      if (fresh) byId("share-links")?.replaceWith(fresh);
    } catch {
      // The old links are still right.
    }
  }

  // showEdited says that the build on the right is of other files than those on the left.
  private showEdited(): void {
    if (byId("edited")) return;
    const steps = el("button", { type: "button", class: "link" }, "Show the steps of the text");
    const bar = el("p", { class: "edited", id: "edited" }, el("span", {}, "The files have changed since this build."), steps);
    steps.addEventListener("click", () => {
      bar.remove();
      this.result.detach();
      this.ofText = true;
      const pane = byId("result");
      if (pane) {
        delete pane.dataset["build"];
        delete pane.dataset["live"];
        for (const gone of pane.querySelectorAll("#tab-log, #tab-layers, #tab-network, .status-row, #panel-log, #panel-layers, #panel-network, #others")) gone.remove();
      }
      this.result.tabs?.show("panel-steps");
      this.analysis.stepsSoon();
    });
    byId("panel-steps")?.before(bar);
  }

  // Events

  private events(): void {
    const form = this.form.form;
    document.addEventListener("submit", (e) => {
      if (e.target !== form || this.readOnly) return;
      e.preventDefault();
      const action = (e.submitter as HTMLButtonElement | null)?.value;
      if (action === "build") void this.doing("build", () => this.build());
      if (action === "save") void this.doing("save", async () => (await this.save()) && announce("Saved"));
    });
    document.addEventListener("keydown", (e) => {
      if (!(e.ctrlKey || e.metaKey) || e.altKey) return;
      if (e.key === "Enter") {
        e.preventDefault();
        void this.doing("build", () => this.build());
      } else if (e.key === "s") {
        e.preventDefault();
        void this.doing("save", async () => (await this.save()) && announce("Saved"));
      }
    }, true);
    const key = byId("build-key");
    if (key && /Mac|iPhone|iPad/.test(navigator.platform)) key.textContent = "⌘↵";

    document.addEventListener("click", (e) => {
      const at = (e.target as Element).closest<HTMLElement>("[data-do], [data-dialog], a[data-line]");
      if (!at) return;
      if (at.dataset["dialog"] === "share") {
        const unsaved = byId("share-unsaved");
        if (unsaved) unsaved.hidden = !this.dirty || !this.data["revision"];
      } else if (at.dataset["do"] === "new") void this.work.create();
      else if (at.dataset["do"] === "upload") byId("upload-js")?.click();
      else if (at.dataset["line"]) {
        e.preventDefault();
        const start = { line: Number(at.dataset["line"]), column: Number(at.dataset["column"] ?? 1) };
        this.work.goTo(at.dataset["file"] || this.form.dockerfile, { start, end: start });
      }
    });
    byId("toggle-tree")?.addEventListener("click", (e) => {
      const tree = byId("tree");
      if (!tree) return;
      const narrow = matchMedia("(max-width: 560px)").matches;
      const open = narrow ? tree.classList.toggle("open") : !(tree.hidden = !tree.hidden);
      (e.currentTarget as HTMLElement).setAttribute("aria-expanded", String(open));
    });

    const more = form.querySelector<HTMLDetailsElement>(".more-options");
    if (more) {
      more.open = false;
      document.addEventListener("pointerdown", (e) => {
        if (!more.contains(e.target as Node)) more.open = false;
      });
      more.addEventListener("keydown", (e) => {
        if (e.key !== "Escape") return;
        more.open = false;
        more.querySelector("summary")?.focus();
      });
    }

    // Title and options: the title belongs to the draft, the options to lint and steps.
    form.addEventListener("change", (e) => {
      const name = (e.target as HTMLInputElement).name;
      if (["target", "args", "dockerfile"].includes(name)) this.analysis.changed();
    });
    document.querySelector("input.title")?.addEventListener("input", () => {
      this.dirty = true;
      this.keepSoon();
    });

    const input = byId<HTMLInputElement>("upload-js");
    input?.addEventListener("change", () => {
      const files = [...(input.files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
      input.value = "";
      void this.upload(Promise.resolve(files));
    });
    const zone = form;
    zone.addEventListener("dragover", (e) => {
      if (!e.dataTransfer?.types.includes("Files") || this.readOnly) return;
      e.preventDefault();
      zone.classList.add("dropping");
    });
    zone.addEventListener("dragleave", (e) => {
      if (!zone.contains(e.relatedTarget as Node | null)) zone.classList.remove("dropping");
    });
    zone.addEventListener("drop", (e) => {
      zone.classList.remove("dropping");
      if (!e.dataTransfer?.types.includes("Files") || this.readOnly) return;
      e.preventDefault();
      void this.upload(dropped(e.dataTransfer));
    }, true);

    document.addEventListener("visibilitychange", () => void this.keep());
    addEventListener("pagehide", () => void this.keep());
    addEventListener("popstate", () => location.reload());

    pair((step) => this.code.view.dispatch(light(step)));
    clocks();
    divider();
    follow(() => this.result);
  }

  private async upload(list: Promise<{ path: string; file: File }[]>): Promise<void> {
    if (this.readOnly) return;
    hush();
    try {
      const files = await read(await list);
      if (files.length > 0) this.work.add(files);
    } catch (e) {
      this.refused(e);
    }
  }
}

chrome();
new Editor();
