// The order in which a live stream's events are applied. No DOM here: what an event does is given.

export interface StreamEvent {
  kind: "patch" | "lines" | "end";
  seq: number;
  data: string;
}

export interface Sink {
  patch(html: string): void;
  // lines gives back how many rows it applied.
  lines(html: string): number;
  applied(seq: number): void; // after each turn
  end(): void;
}

// A turn applies at most this many rows, so that the page answers between turns.
const rowsPerTurn = 500;

// Queue holds events until the next turn and remembers the last one that was applied: the place to resume at.
export class Queue {
  private waiting: StreamEvent[] = [];
  private scheduled = false;
  seq: number;

  constructor(
    seq: number,
    private readonly sink: Sink,
    private readonly soon: (f: () => void) => void,
  ) {
    this.seq = seq;
  }

  push(e: StreamEvent): void {
    this.waiting.push(e);
    this.schedule();
  }

  // drop forgets what was not applied: the stream will send it again.
  drop(): void {
    this.waiting = [];
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.soon(() => {
      this.scheduled = false;
      this.turn();
    });
  }

  private turn(): void {
    let rows = 0;
    while (rows < rowsPerTurn) {
      const e = this.waiting.shift();
      if (!e) break;
      if (e.kind === "patch") this.sink.patch(e.data);
      else if (e.kind === "lines") rows += this.sink.lines(e.data);
      // Only now: an event that could not be applied is asked for again.
      if (e.seq > this.seq) this.seq = e.seq;
      if (e.kind === "end") this.sink.end();
    }
    this.sink.applied(this.seq);
    if (this.waiting.length > 0) this.schedule();
  }
}

// backoff is how long to wait before attempt n (from 0) to connect again, in milliseconds.
export function backoff(n: number, random = Math.random()): number {
  return Math.min(250 * 2 ** n, 10_000) * (0.75 + random / 2);
}
