// Calls to our own server. A refusal becomes a Refusal with words for people.

import type { Range } from "./columns";

export interface Place {
  file: string;
  range?: Range;
}

// Refusal is an answer that is not what was asked for; status 0 is no answer at all.
export class Refusal extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly place: Place | null = null,
  ) {
    super(message);
  }
}

export async function call(method: string, path: string, body?: unknown, options: RequestInit = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  headers.set("X-Slipway", "1");
  let sent: BodyInit | null = null;
  if (body instanceof FormData) {
    sent = body;
  } else if (body !== undefined) {
    headers.set("Content-Type", "application/json");
    sent = JSON.stringify(body);
  }
  let answer: Response;
  try {
    answer = await fetch(path, { ...options, method, headers, body: sent });
  } catch (e) {
    if (e instanceof DOMException && e.name === "AbortError") throw e;
    throw new Refusal("The server can't be reached. What you typed is kept in this browser.", 0);
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer: Response): Promise<Refusal> {
  try {
    const p = (await answer.json()) as { detail?: string; title?: string; place?: Place };
    return new Refusal(p.detail ?? p.title ?? `The server answered ${answer.status}.`, answer.status, p.place ?? null);
  } catch {
    return new Refusal(`The server answered ${answer.status} ${answer.statusText}.`, answer.status);
  }
}
