import assert from "node:assert/strict";
import { test } from "node:test";
import { Text } from "@codemirror/state";

import { offset, stretch, unit } from "../columns";

test("columns count code points", () => {
  for (const [text, column, want] of [
    ["abc", 1, 0],
    ["abc", 4, 3],
    ["abc", 9, 3],
    ["a😀b", 2, 1],
    ["a😀b", 3, 3],
    ["a😀b", 4, 4],
    ["é漢字", 3, 2],
    ["\ud83d", 2, 1], // half a pair
    ["", 5, 0],
  ] as const) {
    assert.equal(unit(text, column), want, `${JSON.stringify(text)} column ${column}`);
  }
});

test("every code point of a line comes back", () => {
  const line = "FROM 😀 AS 漢é\u0301 # 👩‍👩‍👧";
  const points = [...line];
  points.forEach((p, i) => assert.equal(line.slice(unit(line, i + 1), unit(line, i + 2)), p));
});

test("places outside of the text are kept inside", () => {
  const doc = Text.of(["FROM x", "", "RUN 😀"]);
  assert.equal(offset(doc, { line: 0, column: 1 }), 0);
  assert.equal(offset(doc, { line: 99, column: 1 }), doc.length);
  assert.equal(offset(doc, { line: 3, column: 99 }), doc.length);
});

test("a mark is never empty where there is text", () => {
  const doc = Text.of(["FROM x", "", "RUN y"]);
  const at = (l1: number, c1: number, l2: number, c2: number) =>
    stretch(doc, { start: { line: l1, column: c1 }, end: { line: l2, column: c2 } });
  assert.deepEqual(at(1, 6, 1, 7), { from: 5, to: 6 });
  assert.deepEqual(at(1, 1, 1, 1), { from: 0, to: 1 });
  assert.deepEqual(at(1, 7, 1, 7), { from: 0, to: 6 });
  assert.deepEqual(at(2, 1, 2, 1), { from: 7, to: 7 });
  assert.deepEqual(at(3, 4, 1, 1), { from: 11, to: 12 }); // ends before it begins
  assert.deepEqual(at(9, 1, 9, 1), { from: 8, to: 13 });
});
