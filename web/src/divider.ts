// The divider between the two sides: it is dragged, or moved with the arrow keys, and stays where it was put.
// The share of the left side is a custom property on the root, which theme.ts sets before anything is drawn.

import { byId } from "./dom";

const least = 20; // per cent of the width, for each side
const usual = 46; // as in layout.css

export function divider(): void {
  const bar = byId("divider");
  const split = bar?.parentElement;
  if (!bar || !split) return;
  const root = document.documentElement;
  let now = parseFloat(root.style.getPropertyValue("--split")) || usual;
  const show = (share: number) => {
    now = Math.min(Math.max(share, least), 100 - least);
    root.style.setProperty("--split", `${now.toFixed(1)}%`);
    bar.setAttribute("aria-valuenow", String(Math.round(now)));
  };
  const keep = () => {
    try {
      localStorage.setItem("slipway.split", String(now));
    } catch {
      // It holds for this page only.
    }
  };
  bar.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    e.preventDefault();
    bar.focus();
    bar.setPointerCapture(e.pointerId);
  });
  bar.addEventListener("pointermove", (e) => {
    if (!bar.hasPointerCapture(e.pointerId)) return;
    const box = split.getBoundingClientRect();
    show((100 * (e.clientX - box.left)) / box.width);
  });
  bar.addEventListener("lostpointercapture", keep);
  bar.addEventListener("dblclick", () => {
    show(usual);
    keep();
  });
  bar.addEventListener("keydown", (e) => {
    const to = { ArrowLeft: now - 2, ArrowRight: now + 2, Home: least, End: 100 - least, Enter: usual }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    show(to);
    keep();
  });
  show(now);
}
