// What was typed and not saved, kept in this browser's IndexedDB through reloads, crashes and lost connections.

import { fromWire, toWire, type Source, type Wire } from "./files";
import { isOpen, tabID } from "./tab";

export interface Draft {
  doc: string; // the snippet's ID, or "new"
  base: string; // the revision that was edited
  title: string;
  files: [string, Wire][];
  when: number; // ms since 1970
}

interface Record extends Draft {
  tab: string;
}

const kept = 90 * 24 * 3600 * 1000; // ms

export class Drafts {
  private readonly tab = tabID();
  private readonly db: Promise<IDBDatabase | null> = new Promise((done) => {
    try {
      const open = indexedDB.open("slipway", 1);
      open.onupgradeneeded = () => open.result.createObjectStore("drafts", { keyPath: ["doc", "tab"] });
      open.onsuccess = () => done(open.result);
      open.onerror = () => done(null); // switched off: nothing is kept
    } catch {
      done(null);
    }
  });

  // find gives this tab's draft of a document, or takes over the newest of a tab that is gone.
  async find(doc: string): Promise<Draft | null> {
    const tab = await this.tab;
    const all = (await this.run<Record[]>("readonly", (s) => s.getAll(IDBKeyRange.bound([doc], [doc, []])))) ?? [];
    all.sort((a, b) => b.when - a.when);
    for (const d of all) {
      if (d.when < Date.now() - kept) await this.run("readwrite", (s) => s.delete([d.doc, d.tab]));
    }
    const own = all.find((d) => d.tab === tab);
    if (own) return own;
    for (const d of all) {
      if (await isOpen(d.tab)) continue;
      await this.put(d);
      await this.run("readwrite", (s) => s.delete([d.doc, d.tab]));
      return d;
    }
    return null;
  }

  async put(draft: Draft): Promise<void> {
    const tab = await this.tab;
    await this.run("readwrite", (s) => s.put({ ...draft, tab }));
  }

  async drop(doc: string): Promise<void> {
    const tab = await this.tab;
    await this.run("readwrite", (s) => s.delete([doc, tab]));
  }

  private async run<T>(mode: IDBTransactionMode, f: (s: IDBObjectStore) => IDBRequest): Promise<T | null> {
    const db = await this.db;
    if (!db) return null;
    return new Promise((done) => {
      const request = f(db.transaction("drafts", mode).objectStore("drafts"));
      request.onsuccess = () => done((request.result as T | undefined) ?? null);
      request.onerror = () => done(null);
    });
  }
}

export function draftOf(doc: string, base: string, title: string, files: Source[]): Draft {
  return { doc, base, title, files: files.map((f) => [f.path, toWire(f)]), when: Date.now() };
}

export function filesOf(d: Draft): Source[] {
  return d.files.map(([path, w]) => fromWire(path, w));
}

// same reports whether a draft holds nothing but these files and this title.
export function same(d: Draft, title: string, files: Source[]): boolean {
  const wires = new Map(files.map((f) => [f.path, JSON.stringify(toWire(f))]));
  return (
    d.title === title && d.files.length === wires.size && d.files.every(([path, w]) => wires.get(path) === JSON.stringify(w))
  );
}
