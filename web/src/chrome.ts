// What every page has: the colours' switch, dialogs, buttons that copy.

import { announce, byId } from "./dom";

const themes = ["", "light", "dark"] as const;
const words = { "": "as the system", light: "light", dark: "dark" };

function themeSwitch(): void {
  const button = byId("theme");
  if (!button) return;
  const root = document.documentElement;
  const show = () => {
    const now = (root.dataset["theme"] ?? "") as (typeof themes)[number];
    button.setAttribute("aria-label", `Colours: ${words[now]}`);
    button.title = `Colours: ${words[now]}`;
  };
  button.addEventListener("click", () => {
    const now = themes.indexOf((root.dataset["theme"] ?? "") as (typeof themes)[number]);
    const next = themes[(now + 1) % themes.length] ?? "";
    if (next === "") delete root.dataset["theme"];
    else root.dataset["theme"] = next;
    try {
      localStorage.setItem("slipway.theme", next);
    } catch {
      // It holds for this page only.
    }
    show();
    announce(`Colours: ${words[next]}`);
  });
  show();
}

function dialogs(): void {
  document.addEventListener("click", (e) => {
    const target = e.target as Element;
    const opener = target.closest<HTMLElement>("[data-dialog]");
    if (opener) {
      const d = byId<HTMLDialogElement>(opener.dataset["dialog"] ?? "");
      if (d) {
        e.preventDefault();
        d.showModal();
      }
      return;
    }
    const closer = target.closest("[data-close]");
    if (closer) {
      e.preventDefault();
      closer.closest("dialog")?.close();
      return;
    }
    // A click on the backdrop lands on the dialog itself.
    if (target instanceof HTMLDialogElement) target.close();
  });
}

function copying(): void {
  document.addEventListener("click", async (e) => {
    const button = (e.target as Element).closest<HTMLElement>("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset["copy"] ?? "");
      button.classList.add("done");
      announce("Copied");
      setTimeout(() => button.classList.remove("done"), 1500);
    } catch {
      // No clipboard here: select the text, so that the keyboard can copy it.
      const code = button.parentElement?.querySelector("code");
      if (code) getSelection()?.selectAllChildren(code);
      announce("Selected; copy it with the keyboard");
    }
  });
}

export function chrome(): void {
  themeSwitch();
  dialogs();
  copying();
}
