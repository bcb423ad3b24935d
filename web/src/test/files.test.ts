import assert from "node:assert/strict";
import { test } from "node:test";

import { content, fromBytes, fromWire, inOrder, toWire, wrongName, wrongSize, type Source } from "../files";
import { draftOf, filesOf, same } from "../drafts";
import { binarySize, count, span } from "../words";

const bytes = (s: string) => new TextEncoder().encode(s);

test("every content survives the wire to the byte", () => {
  const contents = [
    bytes(""),
    bytes("a\nb\n"),
    bytes("a\r\nb\r\n"),
    bytes("mixed\r\nends\n"),
    bytes("old\rmac\r"),
    bytes("\ufeffwith a mark"),
    bytes("nul\0"),
    bytes("😀 漢"),
    new Uint8Array([0xff, 0xfe, 0x00]),
    new Uint8Array(100_000).fill(0x80),
  ];
  for (const exec of [false, true]) {
    for (const c of contents) {
      const f = fromBytes("x", c, exec);
      assert.deepEqual(content(f), c);
      const again = fromWire("x", JSON.parse(JSON.stringify(toWire(f))));
      assert.deepEqual(content(again), c);
      assert.equal(again.exec, exec);
    }
  }
});

test("an edited CRLF file keeps its line ends", () => {
  const f = fromBytes("x", bytes("a\r\nb\r\n"));
  assert.equal(f.text, "a\nb\n");
  const edited: Source = { ...f, text: "a\nc\n", bytes: null };
  assert.deepEqual(content(edited), bytes("a\r\nc\r\n"));
});

test("names", () => {
  const taken = ["Dockerfile", "app/main.py"];
  for (const ok of ["a", "app/b.py", ".dockerignore", "ünï", "app/main.py.bak"]) assert.equal(wrongName(ok, taken), "", ok);
  for (const bad of ["", "/a", "a//b", "../a", "a/./b", "a\\b", "a\nb", "dockerfile", "Dockerfile", "app", "app/main.py/x", "x".repeat(256)]) {
    assert.ok(wrongName(bad, taken), bad);
  }
});

test("limits", () => {
  const f = (n: number): Source => ({ path: "x", exec: false, eol: "lf", text: "x".repeat(n), bytes: null });
  const l = { files: 2, file: 10, total: 15 };
  assert.equal(wrongSize([f(10), f(5)], l, String), "");
  assert.ok(wrongSize([f(11)], l, String));
  assert.ok(wrongSize([f(10), f(6)], l, String));
  assert.ok(wrongSize([f(1), f(1), f(1)], l, String));
});

test("the Dockerfile comes first", () => {
  const files = ["b", "Dockerfile", ".a"].map((path) => fromBytes(path, bytes("")));
  assert.deepEqual(inOrder(files, "Dockerfile").map((f) => f.path), ["Dockerfile", ".a", "b"]);
});

test("a draft gives back what was typed", () => {
  const files = [fromBytes("a", bytes("x\r\n")), fromBytes("b", new Uint8Array([0, 1]))];
  const d = draftOf("new", "", "title", files);
  assert.ok(same(d, "title", files));
  assert.ok(!same(d, "other", files));
  assert.ok(!same(d, "title", files.slice(1)));
  assert.deepEqual(filesOf(structuredClone(d)).map(content), files.map(content));
});

test("numbers are written as the server writes them", () => {
  assert.deepEqual([0, 84, 120, 6120, 48_000, 125_000, 7_260_000].map(span), ["0 ms", "84 ms", "0.1 s", "6.1 s", "48 s", "2 min 5 s", "2 h 1 min"]);
  assert.equal(count(1, "file"), "1 file");
  assert.equal(count(4312, "line"), "4,312 lines");
  assert.equal(binarySize(1 << 20), "1 MiB");
});
