// Lint findings: as marks in the editor and as a list below it.

import type { Diagnostic as Mark } from "@codemirror/lint";
import type { Text } from "@codemirror/state";

import { stretch, type Range } from "./columns";
import { el, icon } from "./dom";
import { count } from "./words";

export interface Finding {
  rule: string;
  severity: "error" | "warning" | "info";
  message: string;
  detail?: string;
  file: string;
  range: Range;
  url?: string;
}

const shown = 200; // as shownFindings in editor.go

const icons = { error: "error", warning: "warning", info: "info" };

// marksOf are a file's findings for the editor.
export function marksOf(found: Finding[], path: string, doc: Text): Mark[] {
  return found
    .filter((f) => f.file === path)
    .map((f) => ({
      ...stretch(doc, f.range),
      severity: f.severity,
      message: f.message,
      renderMessage: () =>
        el("div", {}, el("span", {}, f.message), f.detail ? el("p", { class: "quiet" }, f.detail) : null, rule(f)),
    }));
}

function rule(f: Finding): HTMLElement {
  // Only our own pages explain rules.
  return f.url?.startsWith("/") ? el("a", { class: "rule", href: f.url, target: "_blank" }, f.rule) : el("span", { class: "rule" }, f.rule);
}

// draw puts the list in its place; it looks as in problems of editor.templ.
export function draw(box: HTMLElement, found: Finding[]): void {
  const open = box.querySelector("details")?.open ?? true;
  const head =
    found.length === 0
      ? el("summary", {}, icon("ran"), "No problems found")
      : el("summary", {}, icon(gravest(found)), count(found.length, "problem"));
  const list = el("ul", { class: "findings" });
  for (const f of found.slice(0, shown)) {
    const { line, column } = f.range.start;
    const place = f.file === "" || line < 1 ? null : el(
      "a",
      { class: "place num", href: "#code", "data-line": String(line), "data-column": String(column), "data-file": f.file },
      `${line}:${column}`,
    );
    list.append(
      el(
        "li",
        { class: `finding ${f.severity}` },
        icon(icons[f.severity]),
        el("span", { class: "text" }, el("span", { class: "sr" }, `${f.severity}: `), f.message, " ", rule(f)),
        place,
      ),
    );
  }
  const details = el("details", { open }, head);
  if (found.length > 0) details.append(list);
  if (found.length > shown) details.append(el("p", { class: "note" }, `The first ${shown} are shown.`));
  box.replaceChildren(details);
}

// worst is what a file's tab shows of its findings: "error", "warning" or "".
export function worst(found: Finding[], path: string): string {
  const severity = gravest(found.filter((f) => f.file === path));
  return severity === "info" ? "" : severity;
}

function gravest(found: Finding[]): Finding["severity"] {
  const has = (s: string) => found.some((f) => f.severity === s);
  return has("error") ? "error" : has("warning") ? "warning" : "info";
}
