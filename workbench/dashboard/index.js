"use strict";
/* Sorts and filters the table of sweeps, follows light and dark. Only moves and hides rows; makes no markup. */
(() => {
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const remembered = () => {
    try { return localStorage.getItem("workbench-mode"); } catch { return null; } // no storage in a sandbox
  };
  let chosen = { "#dark": "dark", "#light": "light" }[location.hash] || remembered();
  const mode = () => chosen || (prefersDark.matches ? "dark" : "light");
  const refresh = () => root.classList.toggle("dark", mode() === "dark");
  document.getElementById("mode").addEventListener("click", () => {
    chosen = mode() === "dark" ? "light" : "dark";
    try { localStorage.setItem("workbench-mode", chosen); } catch { /* not remembered, still switched */ }
    refresh();
  });
  prefersDark.addEventListener("change", refresh);
  addEventListener("beforeprint", () => root.classList.remove("dark"));
  addEventListener("afterprint", refresh);
  refresh();

  const table = document.getElementById("sweeps");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];

  const words = document.getElementById("words");
  const state = document.getElementById("state");
  const count = document.getElementById("count");
  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const fits = (!state.value || row.dataset.state === state.value) && wanted.every((word) => text.includes(word));
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = shown < rows.length ? `${shown} of ${rows.length}` : "";
  };
  words.addEventListener("input", filter);
  state.addEventListener("input", filter);

  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = cell.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const direction = cell.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.key;
      rows.sort((a, b) => direction * key(a).localeCompare(key(b), undefined, { numeric: true }));
      body.append(...rows);
    });
  });
})();
