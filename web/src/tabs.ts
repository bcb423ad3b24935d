// A row of links to panels becomes a row of tabs: one panel at a time, arrow keys between them.

// Tabs is what others may ask of them.
export interface Tabs {
  show(panel: string): void; // by id
  reveal(target: Element): void; // shows the panel that holds an element
}

export function tabs(nav: HTMLElement): Tabs {
  const links = [...nav.querySelectorAll<HTMLAnchorElement>("a")];
  const panelOf = (a: HTMLAnchorElement) => document.getElementById(a.hash.slice(1));

  nav.setAttribute("role", "tablist");
  for (const a of links) {
    a.setAttribute("role", "tab");
    a.setAttribute("aria-controls", a.hash.slice(1));
    a.removeAttribute("aria-current");
    const panel = panelOf(a);
    panel?.setAttribute("role", "tabpanel");
    panel?.setAttribute("aria-labelledby", a.id);
  }

  const select = (chosen: HTMLAnchorElement) => {
    for (const a of links) {
      const on = a === chosen;
      a.setAttribute("aria-selected", String(on));
      a.tabIndex = on ? 0 : -1;
      const panel = panelOf(a);
      if (panel) panel.hidden = !on;
    }
  };
  nav.addEventListener("click", (e) => {
    const a = (e.target as Element).closest("a");
    if (!a || e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    select(a);
  });
  nav.addEventListener("keydown", (e) => {
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: links.length - 1 }[e.key];
    if (at < 0 || next === undefined) return;
    e.preventDefault();
    const a = links[(next + links.length) % links.length];
    if (!a) return;
    select(a);
    a.focus();
  });

  const first = links[0];
  if (first) select(first);
  const show = (id: string) => {
    const a = links.find((l) => l.hash === `#${id}`);
    if (a) select(a);
  };
  return {
    show,
    reveal(target) {
      const panel = target.closest(".panel");
      if (panel) show(panel.id);
    },
  };
}
