// Runs before anything is drawn: says that script is there, and applies the colours and the place of the divider
// that were chosen here.
{
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const theme = localStorage.getItem("slipway.theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    const split = Number(localStorage.getItem("slipway.split"));
    if (split > 0 && split < 100) root.style.setProperty("--split", `${split}%`);
  } catch {
    // Storage is switched off: the system's colours stand.
  }
}
