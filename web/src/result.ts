// The right side: tabs, log, live stream. The editor puts a fresh one in place for every build.

import { byId } from "./dom";
import { live } from "./live";
import { Log } from "./log";
import { pill } from "./pill";
import { tabs, type Tabs } from "./tabs";

export interface Result {
  tabs: Tabs | null;
  log: Log | null;
  detach(): void;
}

// attach brings a result pane to life. ended is called when its build is over, if it was not before.
export function attach(pane: HTMLElement, ended: () => void = () => {}): Result {
  const nav = pane.querySelector<HTMLElement>("#tabs");
  const box = byId("log");
  const log = box && new Log(box);
  const strip = nav && tabs(nav);

  pane.addEventListener("click", (e) => {
    const all = (e.target as Element).closest<HTMLElement>("[data-only]");
    if (!all) return;
    e.preventDefault();
    strip?.show("panel-log");
    log?.showOnly(all.dataset["only"] ?? "");
  });
  // A log that is opened shows its end.
  pane.addEventListener(
    "toggle",
    (e) => {
      for (const box of (e.target as Element).querySelectorAll<HTMLElement>(".step .lines")) box.scrollTop = box.scrollHeight;
    },
    true,
  );
  const tidy = () => {
    byId("cancel")?.remove();
    ended();
  };
  byId("cancel")?.addEventListener("submit", (e) => {
    e.preventDefault();
    const button = (e.target as HTMLElement).querySelector("button");
    if (button) button.disabled = true;
    void fetch(`/api/v1/builds/${pane.dataset["build"]}/cancel`, { method: "POST", headers: { "X-Slipway": "1" } })
      .then((r) => r.ok)
      .catch(() => false)
      .then((ok) => {
        if (button && !ok) button.disabled = false;
      });
  });

  const url = pane.dataset["live"];
  const stop = url ? live(url, Number(pane.dataset["seq"] ?? 0), log, tidy) : () => {};
  const still = url ? pill(pane) : () => {};
  const detach = () => {
    stop();
    still();
  };
  return { tabs: strip, log, detach };
}

// follow goes to what the address names: a step, a line of the log, a line of source.
export function follow(result: () => Result): void {
  const go = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    // A line that the page does not hold is in the whole log: the words that say so are next to it.
    const target = id && (byId(id) ?? (/^L\d+$/.test(id) ? byId("log-omitted") : null));
    for (const old of document.querySelectorAll("#log-omitted.lit")) old.classList.remove("lit");
    if (!target) return;
    if (target.id === "log-omitted") target.classList.add("lit");
    result().tabs?.reveal(target);
    const details = target.querySelector<HTMLDetailsElement>(":scope > details");
    if (details) details.open = true;
    target.scrollIntoView({ block: target.classList.contains("line") ? "center" : "nearest" });
  };
  addEventListener("hashchange", go);
  go();
}
