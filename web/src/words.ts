// Numbers as the server writes them in format.go.

// span writes milliseconds: "84 ms", "6.1 s", "48 s", "2 min 5 s".
export function span(ms: number): string {
  ms = Math.max(ms, 0);
  if (ms < 95) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 59500) return `${Math.round(ms / 1000)} s`;
  const s = Math.round(ms / 1000);
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
}

// count writes a number with its noun: "1 file", "4,312 lines".
export function count(n: number, noun: string): string {
  return n === 1 ? `1 ${noun}` : `${n.toLocaleString("en")} ${noun}s`;
}

// binarySize writes a limit, a round number of powers of two: "1 MiB".
export function binarySize(n: number): string {
  if (n >= 2 ** 20) return `${+(n / 2 ** 20).toFixed(1)} MiB`;
  if (n >= 2 ** 10) return `${+(n / 2 ** 10).toFixed(1)} KiB`;
  return `${n} B`;
}
