// What was typed and not saved, kept in this browser's IndexedDB through reloads, crashes and lost connections.

import { fromWire, toWire, type Source, type Wire } from "./files";

export interface Draft {
  key: string; // the snippet's ID, or "new"
  base: string; // the revision that was edited
  title: string;
  files: [string, Wire][];
  when: number; // ms since 1970
}

const monthsKept = 90 * 24 * 3600 * 1000;

export class Drafts {
  private db: Promise<IDBDatabase | null>;

  constructor() {
    this.db = new Promise((done) => {
      try {
        const open = indexedDB.open("slipway", 1);
        open.onupgradeneeded = () => open.result.createObjectStore("drafts", { keyPath: "key" });
        open.onsuccess = () => done(open.result);
        open.onerror = () => done(null); // switched off: nothing is kept
      } catch {
        done(null);
      }
    });
  }

  async get(key: string): Promise<Draft | null> {
    const found = await this.run<Draft>("readonly", (s) => s.get(key));
    return found && Date.now() - found.when < monthsKept ? found : null;
  }

  async put(draft: Draft): Promise<void> {
    await this.run("readwrite", (s) => s.put(draft));
  }

  async drop(key: string): Promise<void> {
    await this.run("readwrite", (s) => s.delete(key));
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

export function draftOf(key: string, base: string, title: string, files: Source[]): Draft {
  return { key, base, title, files: files.map((f) => [f.path, toWire(f)]), when: Date.now() };
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
