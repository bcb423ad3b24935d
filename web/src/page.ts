// Every page but the editor.

import { chrome } from "./chrome";
import { clocks } from "./clock";
import { divider } from "./divider";
import { byId } from "./dom";
import { pair } from "./pair";
import { attach, follow } from "./result";

chrome();
const pane = byId("result");
if (pane) {
  pair();
  divider();
  const stop = pane.dataset["live"] ? clocks() : () => {};
  const result = attach(pane, () => {
    stop();
    const words = document.querySelector("#status .headline strong")?.textContent;
    if (words) document.title = document.title.replace(/^[^·]*/, `${words.trim()} `);
  });
  follow(() => result);
}
