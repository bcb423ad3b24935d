// The files of a snippet as the editor holds them.

// A Source is one file. Text has LF line ends here; eol says what it has outside.
export interface Source {
  path: string;
  exec: boolean;
  eol: "lf" | "crlf";
  text: string | null; // null: not text
  bytes: Uint8Array<ArrayBuffer> | null; // the exact content, where text alone does not give it and nobody has edited it
}

// Limits are the server's, in files and bytes.
export interface Limits {
  files: number;
  file: number;
  total: number;
}

// Wire is a file as the API carries it.
export type Wire = string | { base64: string; executable?: boolean };

export function toBase64(bytes: Uint8Array): string {
  let s = "";
  for (let i = 0; i < bytes.length; i += 0x8000) s += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(s);
}

export function fromBase64(s: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(s), (c) => c.charCodeAt(0));
}

// content is the file's exact bytes.
export function content(f: Source): Uint8Array<ArrayBuffer> {
  if (f.bytes) return f.bytes;
  const text = f.text ?? "";
  return new TextEncoder().encode(f.eol === "crlf" ? text.replaceAll("\n", "\r\n") : text);
}

// fromBytes reads bytes as text if they are text.
export function fromBytes(path: string, bytes: Uint8Array<ArrayBuffer>, exec = false): Source {
  const raw: Source = { path, exec, eol: "lf", text: null, bytes };
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    if (text.includes("\0")) return raw;
    const plain = text.replaceAll(/\r\n?/g, "\n");
    const eol = text.includes("\r\n") && plain.replaceAll("\n", "\r\n") === text ? "crlf" : "lf";
    return { path, exec, eol, text: plain, bytes: eol === "crlf" || plain === text ? null : bytes };
  } catch {
    return raw; // not UTF-8
  }
}

export function fromWire(path: string, w: Wire): Source {
  if (typeof w === "string") return fromBytes(path, new TextEncoder().encode(w));
  return fromBytes(path, fromBase64(w.base64), w.executable === true);
}

export function toWire(f: Source): Wire {
  if (!f.exec && f.text !== null && f.bytes === null) return f.eol === "crlf" ? f.text.replaceAll("\n", "\r\n") : f.text;
  const base64 = toBase64(content(f));
  return f.exec ? { base64, executable: true } : { base64 };
}

export function size(f: Source): number {
  return f.bytes?.length ?? content(f).length;
}

// wrongName says what is wrong with a file's name, or "".
export function wrongName(path: string, taken: string[]): string {
  if (path === "") return "A file needs a name.";
  if (path.startsWith("/")) return "Names are relative to the build context: no / at the beginning.";
  if (path.includes("\\")) return "Use / between folders.";
  if (/[\u0000-\u001f\u007f\u202a-\u202e\u2066-\u2069]/.test(path)) return "The name contains a control character.";
  if (path.split("/").some((p) => p === "" || p === "." || p === "..")) return "No empty parts, no . and no .. in a name.";
  if (new TextEncoder().encode(path).length > 255) return "The name is longer than 255 bytes.";
  const low = path.toLowerCase();
  for (const t of taken) {
    const other = t.toLowerCase();
    if (other === low) return t === path ? `${t} is there already.` : `${t} differs in case only.`;
    if (low.startsWith(`${other}/`) || other.startsWith(`${low}/`)) return `${t} would be a file and a folder at once.`;
  }
  return "";
}

// wrongSize says which limit the files are over, or "".
export function wrongSize(files: Source[], l: Limits, words: (n: number) => string): string {
  if (files.length > l.files) return `There are ${files.length} files; at most ${l.files} are allowed.`;
  let total = 0;
  for (const f of files) {
    const n = size(f);
    if (n > l.file) return `${f.path} has ${words(n)}; a file may have at most ${words(l.file)}.`;
    total += n;
  }
  return total > l.total ? `The files have ${words(total)} together; at most ${words(l.total)} are allowed.` : "";
}

// inOrder sorts for lists: the Dockerfile first, then by folder and name.
export function inOrder(files: Source[], dockerfile: string): Source[] {
  return [...files].sort((a, b) => {
    if (a.path === dockerfile || b.path === dockerfile) return a.path === dockerfile ? -1 : 1;
    return a.path < b.path ? -1 : 1;
  });
}
