// Clocks that tick between two messages of the server. An element of class clock carries data-elapsed or
// data-left, in milliseconds as of the moment it came.

import { span } from "./words";

const seen = new WeakMap<Element, { text: string; at: number }>();

// tick draws every clock; a clock whose value the server has changed begins anew.
export function tick(now = performance.now()): void {
  for (const e of document.querySelectorAll<HTMLElement>(".clock")) {
    const left = e.dataset["left"];
    const text = left ?? e.dataset["elapsed"] ?? "0";
    let s = seen.get(e);
    if (s?.text !== text) {
      s = { text, at: now };
      seen.set(e, s);
    }
    const passed = now - s.at;
    const ms = left === undefined ? Number(text) + passed : Number(text) - passed;
    const words = ms < 9950 && left === undefined ? span(Math.floor(ms / 100) * 100) : span(ms);
    if (e.textContent !== words) e.textContent = words;
  }
}

// clocks ticks until the returned function is called.
export function clocks(): () => void {
  tick();
  const timer = setInterval(tick, 250);
  return () => clearInterval(timer);
}
