// Which browser tab this is. Two tabs on the same snippet keep a draft each; one that was closed or has crashed
// leaves its draft to the next.

const lock = (id: string) => `slipway.tab.${id}`;

// tabID names this tab; it stays the same through reloads. A copied tab gets a name of its own.
export async function tabID(): Promise<string> {
  let id = "";
  try {
    id = sessionStorage.getItem("slipway.tab") ?? "";
    if (id !== "" && (await hold(id))) return id;
    id = Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(36)).join("");
    sessionStorage.setItem("slipway.tab", id);
    await hold(id);
  } catch {
    // No storage: nothing is kept anyway.
  }
  return id;
}

// hold says to other tabs that this name is taken, as long as the page lives; false: it is another tab's.
async function hold(id: string): Promise<boolean> {
  if (!("locks" in navigator)) return true; // only secure pages have them
  return new Promise((done) => {
    // After a reload the page before may not quite be gone.
    navigator.locks
      .request(lock(id), { signal: AbortSignal.timeout(500) }, () => {
        done(true);
        return new Promise(() => {});
      })
      .catch(() => done(false));
  });
}

// isOpen reports whether another tab of this name is open.
export async function isOpen(id: string): Promise<boolean> {
  if (!("locks" in navigator)) return false;
  const { held } = await navigator.locks.query();
  return held?.some((l) => l.name === lock(id)) ?? false;
}
