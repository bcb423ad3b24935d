// The files as a tree and as tabs. Both only draw and say what was asked; the workspace does it.

import { el, icon } from "./dom";

export interface Asked {
  open(path: string): void;
  close(path: string): void;
  rename(path: string): void;
  remove(path: string): void;
}

export interface Shown {
  paths: string[]; // all, in order
  tabs: string[]; // those with a tab, in order
  front: string;
  worst(path: string): string; // severity, or ""
  readOnly: boolean;
}

export function drawTree(list: HTMLElement, s: Shown, ask: Asked): void {
  const rows: HTMLElement[] = [];
  let folder = "";
  for (const path of s.paths) {
    const slash = path.lastIndexOf("/");
    const dir = path.slice(0, Math.max(slash, 0));
    if (dir !== folder && dir !== "") rows.push(el("li", { class: "folder" }, `${dir}/`));
    folder = dir;
    const name = path.slice(slash + 1);
    const entry = el("button", { type: "button", class: "entry", title: path, "aria-current": path === s.front ? "true" : null }, icon("file"), el("span", {}, name));
    entry.addEventListener("click", () => ask.open(path));
    const row = el("li", { class: dir === "" ? null : "inside" }, entry);
    if (!s.readOnly) {
      const rename = el("button", { type: "button", class: "plain", "aria-label": `Rename ${path}`, title: "Rename" }, icon("rename"));
      rename.addEventListener("click", () => ask.rename(path));
      const remove = el("button", { type: "button", class: "plain", "aria-label": `Delete ${path}`, title: "Delete" }, icon("delete"));
      remove.addEventListener("click", () => ask.remove(path));
      row.append(rename, remove);
    }
    rows.push(row);
  }
  list.replaceChildren(...rows);
}

export function drawTabs(bar: HTMLElement, s: Shown, ask: Asked): void {
  const focused = bar.contains(document.activeElement);
  const tabs = s.tabs.map((path) => {
    const on = path === s.front;
    const tab = el(
      "div",
      { class: `file-tab ${s.worst(path)}`, role: "tab", id: `tab:${path}`, tabindex: on ? "0" : "-1", "aria-selected": String(on), "aria-controls": "code", title: path },
      el("span", {}, path),
      el("span", { class: "mark" }),
    );
    if (s.tabs.length > 1) {
      const close = el("span", { class: "plain close", "aria-hidden": "true", title: "Close" }, icon("failed"));
      close.addEventListener("click", (e) => {
        e.stopPropagation();
        ask.close(path);
      });
      tab.append(close);
    }
    tab.addEventListener("click", () => ask.open(path));
    tab.addEventListener("keydown", (e) => {
      const at = s.tabs.indexOf(path);
      const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: s.tabs.length - 1 }[e.key];
      if (next !== undefined) {
        e.preventDefault();
        ask.open(s.tabs[(next + s.tabs.length) % s.tabs.length] ?? path);
      } else if (e.key === "Delete" && s.tabs.length > 1) {
        ask.close(path);
      }
    });
    return tab;
  });
  bar.replaceChildren(...tabs);
  const front = tabs[s.tabs.indexOf(s.front)];
  front?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (focused) front?.focus();
}
