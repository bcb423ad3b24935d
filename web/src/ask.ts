// Small dialogs that ask for one thing.

import { el } from "./dom";

// askName asks for a file's name; wrong says what is wrong with one, or "". null: never mind.
export function askName(title: string, value: string, go: string, wrong: (name: string) => string): Promise<string | null> {
  return new Promise((done) => {
    const input = el("input", { name: "name", value, autocomplete: "off", autocapitalize: "off", spellcheck: "false", "aria-describedby": "ask-wrong" });
    const message = el("p", { class: "wrong", id: "ask-wrong", role: "alert" });
    const form = el(
      "form",
      { class: "ask", method: "dialog" },
      el("label", {}, el("span", {}, "Name, with its folders: app/main.py"), input),
      message,
      el("div", { class: "buttons" }, el("button", { type: "button", "data-close": true }, "Cancel"), el("button", { class: "primary" }, go)),
    );
    const dialog = el("dialog", { class: "dialog", "aria-label": title }, el("div", { class: "dialog-head" }, el("h2", {}, title)), form);
    let answer: string | null = null;
    form.addEventListener("submit", (e) => {
      const name = input.value.trim();
      const why = name === value ? "" : wrong(name);
      if (why) {
        e.preventDefault();
        message.textContent = why;
        input.setAttribute("aria-invalid", "true");
        input.focus();
        return;
      }
      answer = name;
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    const dot = value.lastIndexOf(".");
    input.setSelectionRange(value.lastIndexOf("/") + 1, dot > 0 ? dot : value.length);
  });
}
