// Places: the server counts lines from 1 and columns from 1 in Unicode code points; the editor counts UTF-16
// units from 0.

export interface Position {
  line: number;
  column: number;
}

export interface Range {
  start: Position;
  end: Position;
}

// unit is the UTF-16 index of a column in a line's text, kept inside the line.
export function unit(text: string, column: number): number {
  let i = 0;
  for (let n = 1; n < column && i < text.length; n++) {
    const c = text.charCodeAt(i);
    const pair = c >= 0xd800 && c < 0xdc00 && i + 1 < text.length && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00;
    i += pair ? 2 : 1;
  }
  return i;
}

// A text that can be asked for its lines, from 1.
interface Lines {
  readonly lines: number;
  readonly length: number;
  line(n: number): { readonly from: number; readonly to: number; readonly text: string };
}

// offset is the place of a position in a document, kept inside it.
export function offset(doc: Lines, p: Position): number {
  if (p.line < 1) return 0;
  if (p.line > doc.lines) return doc.length;
  const line = doc.line(p.line);
  return line.from + unit(line.text, p.column);
}

// stretch is a range in a document, never empty where there is text to mark.
export function stretch(doc: Lines, r: Range): { from: number; to: number } {
  const from = offset(doc, r.start);
  const to = Math.max(offset(doc, r.end), from);
  if (to > from) return { from, to };
  const line = doc.line(Math.min(Math.max(r.start.line, 1), doc.lines));
  return from < line.to ? { from, to: from + 1 } : { from: line.from, to: line.to };
}
