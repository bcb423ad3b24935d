// The pill says where the build stands while its status is out of view, as on a narrow window where the result
// is below the source. It leads there.

import { byId, icon } from "./dom";

// pill watches a pane; the returned function ends it.
export function pill(pane: HTMLElement): () => void {
  const chip = pane.querySelector<HTMLElement>("#pill");
  const row = pane.querySelector<HTMLElement>(".status-row");
  if (!chip || !row) return () => {};
  let words = "";
  const draw = () => {
    const status = byId("status");
    const text = status?.querySelector(".headline strong")?.textContent?.trim() ?? "";
    if (!status || text === words) return;
    words = text;
    const state = status.dataset["state"] ?? "";
    const name = { running: "running", queued: "waiting", ok: "ran", cancelled: "stop" }[state] ?? "failed";
    chip.className = `pill is-${state}`;
    chip.replaceChildren(icon(name), text);
  };
  const changes = new MutationObserver(draw);
  changes.observe(row, { childList: true, subtree: true, characterData: true });
  const sight = new IntersectionObserver(([e]) => {
    if (e) chip.hidden = e.isIntersecting;
  });
  sight.observe(row);
  draw();
  return () => {
    changes.disconnect();
    sight.disconnect();
  };
}
