// Small things over the DOM that several modules need.

export function byId<T extends HTMLElement = HTMLElement>(id: string): T | null {
  return document.getElementById(id) as T | null;
}

interface HTMLPolicy {
  createHTML(html: string): string;
}

// One policy for the only HTML that is ever parsed: what our own server drew.
const policy: HTMLPolicy = (
  window as unknown as { trustedTypes?: { createPolicy(name: string, rules: HTMLPolicy): HTMLPolicy } }
).trustedTypes?.createPolicy("slipway", { createHTML: (html) => html }) ?? { createHTML: (html) => html };

// fragment parses HTML that our own server drew.
export function fragment(html: string): DocumentFragment {
  const t = document.createElement("template");
  t.innerHTML = policy.createHTML(html);
  return t.content;
}

// icon is one of the page's symbols.
export function icon(name: string): SVGSVGElement {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("class", `i i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(ns, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

type Child = Node | string | null | false;

// el makes an element; attributes that are null or false are left out.
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | boolean | null> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.filter((c): c is Node | string => c !== null && c !== false));
  return e;
}

// announce says something to people who don't see the screen.
export function announce(words: string): void {
  const place = byId("announce");
  if (place) place.textContent = words;
}

// later calls f once, ms after the last time it was asked for.
export function later(ms: number, f: () => void): () => void {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = window.setTimeout(f, ms);
  };
}
