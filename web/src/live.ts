// One build's live stream, applied to the page. It survives lost connections: it asks again for what comes
// after the last event that was applied, so that the page ends as if nothing had happened.

import { tick } from "./clock";
import { announce, byId, fragment } from "./dom";
import { Log } from "./log";
import { patch } from "./patch";
import { Queue, backoff } from "./stream";

// live follows the stream at url from seq until its end; the returned function stops it earlier.
export function live(url: string, seq: number, log: Log | null, ended: () => void): () => void {
  let source: EventSource | null = null;
  let attempt = 0;
  let timer = 0;
  let over = false;

  const words = byId("connection");
  const say = (text: string) => {
    if (words && words.textContent !== text) words.textContent = text;
  };

  const queue = new Queue(
    seq,
    {
      patch: (html) => patch(fragment(html)),
      lines: (html) => {
        const rows = [...fragment(html).querySelectorAll<HTMLElement>(".line")];
        log?.add(rows);
        return rows.length;
      },
      applied: () => {
        log?.toEnd();
        tick();
      },
      end: () => {
        stop();
        const headline = document.querySelector("#status .headline strong")?.textContent;
        if (headline) announce(headline);
        ended();
      },
    },
    // Hidden pages get no frames; they must not grow behind the reader's back either.
    (f) => (document.hidden ? setTimeout(f, 200) : requestAnimationFrame(f)),
  );

  const connect = () => {
    clearTimeout(timer);
    source?.close();
    queue.drop();
    source = new EventSource(`${url}?after=${queue.seq}`);
    source.onopen = () => {
      attempt = 0;
      say("");
    };
    for (const kind of ["patch", "lines", "end"] as const) {
      source.addEventListener(kind, (e) => queue.push({ kind, seq: Number(e.lastEventId), data: e.data as string }));
    }
    source.onerror = () => {
      if (over) return;
      source?.close();
      const wait = backoff(attempt++);
      say(wait < 2000 ? "reconnecting…" : `no connection, next try in ${Math.ceil(wait / 1000)} s`);
      timer = window.setTimeout(connect, wait);
    };
  };
  const hurry = () => {
    if (!over && source?.readyState === EventSource.CLOSED) connect();
  };
  const stop = () => {
    over = true;
    clearTimeout(timer);
    source?.close();
    removeEventListener("online", hurry);
    say("");
  };
  addEventListener("online", hurry);
  connect();
  return stop;
}
