// A step and its lines of source carry the same colour; pointing at one or focusing it lights the other.

// lit tells the editor which step is lit; 0 is none.
export function pair(lit: (step: number) => void = () => {}): void {
  let now = "";
  const light = (step: string) => {
    if (step === now) return;
    for (const e of document.querySelectorAll(".lit")) e.classList.remove("lit");
    now = step;
    if (step) {
      const at = CSS.escape(step);
      for (const e of document.querySelectorAll(`.code > [data-step="${at}"], #steps > [data-step="${at}"]`)) {
        e.classList.add("lit");
      }
    }
    lit(Number(step) || 0);
  };
  const stepOf = (t: EventTarget | null) =>
    (t instanceof Element ? t.closest<HTMLElement>("#steps > [data-step], .code > [data-step], .cm-line[data-step]") : null)
      ?.dataset["step"] ?? "";
  document.addEventListener("pointerover", (e) => light(stepOf(e.target)));
  document.addEventListener("focusin", (e) => light(stepOf(e.target)));

  // A line of shown source leads to its step, and a place to its line.
  document.addEventListener("click", (e) => {
    const place = (e.target as Element).closest<HTMLElement>("a[data-line]");
    const shown = place && document.getElementById(`src-${place.dataset["line"]}`);
    if (shown) {
      e.preventDefault();
      shown.scrollIntoView({ block: "center" });
      light(shown.dataset["step"] ?? "");
      return;
    }
    const line = (e.target as Element).closest<HTMLElement>(".code > [data-step]");
    if (!line || getSelection()?.isCollapsed === false) return;
    document.getElementById(`step-${line.dataset["step"]}`)?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  });
}
