import assert from "node:assert/strict";
import { test } from "node:test";

import { Queue, backoff, type StreamEvent } from "../stream";

// page is a sink that remembers, with a clock that only moves when told.
function page(seq = 0, fails = () => false) {
  const done: string[] = [];
  const turns: (() => void)[] = [];
  const queue = new Queue(
    seq,
    {
      patch: (html) => {
        if (fails()) throw new Error("no");
        done.push(`patch ${html}`);
      },
      lines: (html) => {
        done.push(`lines ${html}`);
        return Number(html);
      },
      applied: () => done.push("turn"),
      end: () => done.push("end"),
    },
    (f) => turns.push(f),
  );
  const run = () => {
    for (let f = turns.shift(); f; f = turns.shift()) f();
  };
  return { queue, done, run, turns };
}

const lines = (seq: number, n: number): StreamEvent => ({ kind: "lines", seq, data: String(n) });

test("events are applied in order, in one turn", () => {
  const p = page();
  p.queue.push({ kind: "patch", seq: 1, data: "a" });
  p.queue.push(lines(2, 3));
  p.queue.push({ kind: "end", seq: 3, data: "" });
  assert.equal(p.queue.seq, 0, "nothing is counted before it is applied");
  assert.equal(p.turns.length, 1);
  p.run();
  assert.deepEqual(p.done, ["patch a", "lines 3", "end", "turn"]);
  assert.equal(p.queue.seq, 3);
});

test("a turn takes about 500 rows", () => {
  const p = page();
  for (let i = 1; i <= 4; i++) p.queue.push(lines(i, 300));
  p.turns.shift()?.();
  assert.deepEqual(p.done, ["lines 300", "lines 300", "turn"]);
  assert.equal(p.queue.seq, 2);
  p.run();
  assert.equal(p.queue.seq, 4);
});

test("what was dropped is asked for again", () => {
  const p = page(7);
  p.queue.push(lines(8, 1));
  p.queue.drop();
  p.run();
  assert.equal(p.queue.seq, 7);
});

test("an event that can't be applied is not counted", () => {
  const p = page(1, () => true);
  p.queue.push({ kind: "patch", seq: 2, data: "a" });
  let thrown = false;
  try {
    p.run();
  } catch {
    thrown = true;
  }
  assert.ok(thrown);
  assert.equal(p.queue.seq, 1);
});

test("events without a number leave the place alone", () => {
  const p = page(5);
  p.queue.push({ kind: "patch", seq: 0, data: "a" });
  p.run();
  assert.equal(p.queue.seq, 5);
});

test("waiting grows to ten seconds and is spread", () => {
  assert.equal(backoff(0, 0.5), 250);
  assert.equal(backoff(50, 0.5), 10_000);
  assert.ok(backoff(3, 0) < backoff(3, 1));
});
