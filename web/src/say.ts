// Words at the top of the files: what went wrong, or what was done and can be undone.

import { byId, el, icon } from "./dom";

// Act is something the reader may do about it.
export interface Act {
  name: string;
  do(): void;
}

export function say(words: string, kind: "error" | "info", act?: Act): void {
  const box = byId("trouble");
  if (!box) return;
  const text = el("p", {}, words);
  if (act) {
    const button = el("button", { type: "button", class: "link" }, act.name);
    button.addEventListener("click", () => {
      hush();
      act.do();
    });
    text.append(" ", button);
  }
  const close = el("button", { type: "button", class: "plain", "aria-label": "Hide this" }, icon("failed"));
  close.addEventListener("click", () => hush());
  box.classList.toggle("error", kind === "error");
  box.replaceChildren(icon(kind), text, close);
  box.hidden = false;
}

// hush takes away what was said; kind limits it to words of that kind.
export function hush(kind?: "error"): void {
  const box = byId("trouble");
  if (box && (!kind || box.classList.contains(kind))) box.hidden = true;
}
