// The editor's form as the server drew it: where the files come from, and the build's options.

import { fromBase64, fromBytes, type Limits, type Source } from "./files";

export class EditorForm {
  constructor(readonly form: HTMLFormElement) {}

  // files reads the files out of the form's fields, and takes away the fields that nobody needs any more. typed
  // says whether someone was faster than the editor.
  files(keep: boolean): { files: Source[]; front: string; typed: boolean } {
    const files: Source[] = [];
    let front = "";
    let typed = false;
    for (const set of this.form.querySelectorAll<HTMLFieldSetElement>("fieldset.file")) {
      const field = (name: string) => set.querySelector<HTMLInputElement>(`[name^="${name}."]`);
      const path = field("path")?.defaultValue ?? "";
      if (path === "") continue;
      const exec = set.dataset["exec"] === "true";
      const coded = field("base64");
      if (coded) {
        files.push(fromBytes(path, fromBase64(coded.value), exec));
      } else {
        const area = set.querySelector("textarea");
        const text = area?.value ?? "";
        typed ||= text !== area?.defaultValue;
        files.push({ path, exec, eol: field("eol")?.value === "crlf" ? "crlf" : "lf", text, bytes: null });
      }
      if (set.dataset["front"] === "true") front = path;
      if (!keep) set.remove();
    }
    return { files, front, typed };
  }

  get limits(): Limits {
    const n = (name: string) => Number(this.form.dataset[name]);
    return { files: n("maxFiles"), file: n("maxFile"), total: n("maxTotal") };
  }

  get title(): string {
    return this.field("title")?.value.trim() ?? "";
  }

  set title(words: string) {
    const f = this.field("title");
    if (f) f.value = words;
  }

  get dockerfile(): string {
    return this.field("dockerfile")?.value.trim() || "Dockerfile";
  }

  // text is what lint and steps depend on beside the files.
  get text(): { dockerfile: string; target?: string; build_args?: Record<string, string> } {
    const args = this.args();
    const target = this.field("target")?.value;
    return {
      dockerfile: this.dockerfile,
      ...(target ? { target } : {}),
      ...(Object.keys(args).length > 0 ? { build_args: args } : {}),
    };
  }

  // build is the options of a build, as the API wants them.
  get build(): Record<string, unknown> {
    const out: Record<string, unknown> = { ...this.text };
    const platform = this.field("platform")?.value;
    if (platform) out["platform"] = platform;
    if ((this.form.elements.namedItem("no_cache") as HTMLInputElement | null)?.checked) out["no_cache"] = true;
    if (this.field("network")?.value === "off") out["network"] = "off";
    return out;
  }

  // targets offers the stages to choose from, and keeps the choice.
  targets(stages: string[]): void {
    const select = this.field("target");
    if (!(select instanceof HTMLSelectElement)) return;
    const have = [...select.options].slice(1).map((o) => o.value);
    if (have.join("\n") === stages.join("\n")) return;
    const chosen = select.value;
    if (chosen !== "" && !stages.includes(chosen)) stages = [...stages, chosen];
    select.length = 1;
    for (const s of stages) select.add(new Option(s, s, false, s === chosen));
  }

  private args(): Record<string, string> {
    const out: Record<string, string> = {};
    for (const line of (this.field("args")?.value ?? "").split("\n")) {
      const at = line.indexOf("=");
      if (at > 0) out[line.slice(0, at).trim()] = line.slice(at + 1);
    }
    return out;
  }

  private field(name: string): HTMLInputElement | HTMLSelectElement | null {
    return this.form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement | null;
  }
}
