// Files from the visitor's machine: chosen or dropped. Archives are unpacked by the server.

import { call } from "./api";
import { fromBytes, fromWire, type Source, type Wire } from "./files";

const archive = /\.(zip|tar|tgz|tar\.gz|txtar)$/i;

// read gives the files, archives unpacked. It throws a Refusal.
export async function read(list: Iterable<{ path: string; file: File }>): Promise<Source[]> {
  const out: Source[] = [];
  for (const { path, file } of list) {
    if (archive.test(path)) {
      const body = new FormData();
      body.append("file", file, file.name);
      const answer = await call("POST", "/api/v1/unpack", body);
      const { files } = (await answer.json()) as { files: Record<string, Wire> };
      for (const [p, w] of Object.entries(files)) out.push(fromWire(p, w));
    } else {
      out.push(fromBytes(path, new Uint8Array(await file.arrayBuffer())));
    }
  }
  return out;
}

// dropped lists what a drop carries, folders included.
export async function dropped(data: DataTransfer): Promise<{ path: string; file: File }[]> {
  const roots = [...data.items].map((i) => i.webkitGetAsEntry()).filter((e): e is FileSystemEntry => e !== null);
  const out: { path: string; file: File }[] = [];
  const walk = async (e: FileSystemEntry): Promise<void> => {
    if (out.length > 1000) return; // far over any limit; the limit's message says the rest
    if (e.isFile) {
      const file = await new Promise<File>((ok, no) => (e as FileSystemFileEntry).file(ok, no));
      out.push({ path: e.fullPath.replace(/^\//, ""), file });
      return;
    }
    const reader = (e as FileSystemDirectoryEntry).createReader();
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((ok, no) => reader.readEntries(ok, no));
      if (some.length === 0) return;
      for (const s of some) await walk(s);
    }
  };
  for (const r of roots) await walk(r);
  // One dropped folder is the build context itself.
  const top = roots.length === 1 && roots[0]?.isDirectory ? `${roots[0].name}/` : "";
  return out.map((f) => ({ ...f, path: f.path.startsWith(top) ? f.path.slice(top.length) : f.path }));
}
