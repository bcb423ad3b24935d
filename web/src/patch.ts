// Puts what the server drew into the page: each element takes the place of the one with its id, by a morph
// that keeps what people have done: open details, focus, scroll.

import { Idiomorph } from "idiomorph/dist/idiomorph.esm.js";

const callbacks = {
  // Elements marked data-keep are filled by the script, not by patches.
  beforeNodeMorphed: (old: Node) => !(old instanceof HTMLElement && "keep" in old.dataset),
  // What a reader has opened stays open.
  beforeAttributeUpdated: (name: string, node: Element, kind: string) =>
    !(name === "open" && kind === "remove" && node instanceof HTMLDetailsElement),
};

export function patch(content: DocumentFragment): void {
  for (const fresh of [...content.children]) {
    if (!(fresh instanceof HTMLElement) || fresh.id === "") continue;
    const old = document.getElementById(fresh.id);
    if (old) {
      Idiomorph.morph(old, fresh, { morphStyle: "outerHTML", callbacks });
      continue;
    }
    const into = document.getElementById(fresh.dataset["into"] ?? "");
    if (into) into.insertBefore(fresh, place(into, fresh));
  }
}

// place is the first child that comes after a step in order, or null for the end.
function place(into: HTMLElement, fresh: HTMLElement): Element | null {
  const n = Number(fresh.dataset["step"]);
  return [...into.children].find((c) => Number((c as HTMLElement).dataset["step"]) > n) ?? null;
}
