"use strict";
/* Draws the figures of this page when they come into view, follows light and dark, sorts and saves the table of runs.
   Texts from the data only ever become textContent or attributes, never markup. */
(() => {
  const payload = (name) => JSON.parse(document.getElementById(`payload-${name}`).textContent);
  const specs = payload("figures");
  const templates = payload("templates");
  const data = payload("data");
  const root = document.documentElement;

  /* ---- light and dark ---- */
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const remembered = () => {
    try { return localStorage.getItem("workbench-mode"); } catch { return null; } // no storage in a sandbox
  };
  let chosen = { "#dark": "dark", "#light": "light" }[location.hash] || remembered();
  let printing = false;
  const mode = () => (printing ? "light" : chosen || (prefersDark.matches ? "dark" : "light"));

  /* ---- figures ---- */
  const PRINT_WIDTH = 680; // px: what an A4 page with its margins holds
  const PRINT_HEIGHT = 820; // px: the same, beside title and note
  const MOST_SHRUNK = 1.7; // smaller would be unreadable; what is taller still goes over to the next page
  const canHover = matchMedia("(hover: hover)").matches;
  const drawn = new Map(); // element -> how it was drawn last
  const clone = (value) => JSON.parse(JSON.stringify(value));

  const assign = (layout, path, value) => {
    const keys = path.split(".");
    const last = keys.pop();
    let place = layout;
    for (const key of keys) place = place[key] ||= {};
    place[last] = value;
  };

  const draw = (element) => {
    const width = printing ? PRINT_WIDTH : element.clientWidth;
    if (!width) return;
    const narrow = width < specs[element.id].narrow_below; // labels move above their rows
    const state = `${mode()} ${narrow} ${width}`;
    if (drawn.get(element) === state) return;
    drawn.set(element, state);
    const spec = specs[element.id];
    const layout = clone(spec.layout);
    layout.template = templates[mode()];
    layout.width = width;
    if (narrow) for (const [path, value] of Object.entries(spec.narrow)) assign(layout, path, clone(value));
    // a narrow layout may ask for more width than there is: it scrolls on a screen, and is printed smaller
    const shrunk = printing ? Math.min(Math.max(1, layout.height / PRINT_HEIGHT, layout.width / width), MOST_SHRUNK) : 1;
    layout.width = printing ? width * shrunk : layout.width;
    element.style.zoom = shrunk > 1 ? String(1 / shrunk) : "";
    element.style.minHeight = `${layout.height}px`;
    Plotly.react(element, clone(spec.data), layout, {
      displaylogo: false,
      displayModeBar: canHover ? "hover" : false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      toImageButtonOptions: { format: "svg", filename: element.id },
    });
  };

  const plots = [...document.querySelectorAll(".plot")];
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "800px" });
  const resized = new ResizeObserver((entries) => {
    for (const entry of entries) if (drawn.has(entry.target)) draw(entry.target);
  });
  for (const plot of plots) { seen.observe(plot); resized.observe(plot); }

  const refresh = () => {
    root.classList.toggle("dark", mode() === "dark");
    for (const element of drawn.keys()) draw(element);
  };
  document.getElementById("mode").addEventListener("click", () => {
    chosen = mode() === "dark" ? "light" : "dark";
    try { localStorage.setItem("workbench-mode", chosen); } catch { /* not remembered, still switched */ }
    refresh();
  });
  prefersDark.addEventListener("change", refresh);
  refresh();

  /* ---- print: light, as wide as the page, all open but what is aside (unless its reader opened it) ---- */
  const closed = () => document.querySelectorAll("details:not([open]):not(.aside)");
  let opened = [];
  addEventListener("beforeprint", () => {
    printing = true;
    opened = [...closed()];
    for (const item of opened) item.open = true;
    root.classList.remove("dark");
    for (const plot of plots) draw(plot);
  });
  addEventListener("afterprint", () => {
    printing = false;
    for (const item of opened) item.open = false;
    refresh();
  });

  /* ---- copy ---- */
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch { // no clipboard without permission: leave it selected
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
  }

  /* ---- runs ---- */
  const table = document.getElementById("runs");
  const numeric = data.columns.map((_, column) => data.runs.every((run) => run[column] === null || typeof run[column] === "number"));
  const shown = (value) => {
    if (value === null) return "—";
    if (typeof value === "boolean") return value ? "on" : "off";
    if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(5)));
    return String(value);
  };
  const fill = (body, runs) => {
    const fragment = document.createDocumentFragment();
    for (const run of runs) {
      const row = document.createElement("tr");
      run.forEach((value, column) => {
        const cell = row.appendChild(document.createElement("td"));
        cell.textContent = shown(value);
        if (numeric[column]) cell.className = "n";
      });
      fragment.append(row);
    }
    body.replaceChildren(fragment);
  };
  const compare = (one, other) => {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), undefined, { numeric: true });
  };
  const head = table.createTHead().insertRow();
  const body = table.createTBody();
  data.columns.forEach((name, column) => {
    const cell = head.appendChild(document.createElement("th"));
    const button = cell.appendChild(document.createElement("button"));
    button.textContent = name;
    if (numeric[column]) cell.className = "n";
    button.addEventListener("click", () => {
      const direction = cell.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      fill(body, [...data.runs].sort((a, b) => direction * compare(a[column], b[column])));
    });
  });
  fill(body, data.runs);

  /* ---- downloads ---- */
  const field = (value) => {
    if (value === null) return "";
    let text = String(value);
    // a spreadsheet would run a text that begins like a formula
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const csv = () => [data.columns, ...data.runs].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
  const json = () => {
    const { columns, runs, ...rest } = data;
    return JSON.stringify({ ...rest, runs: runs.map((run) => Object.fromEntries(run.map((value, i) => [columns[i], value]))) }, null, 1);
  };
  const save = (text, type, ending) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = `${data.name.replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 60) || "sweep"}.${ending}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  document.getElementById("csv").addEventListener("click", () => save(csv(), "text/csv;charset=utf-8", "csv"));
  document.getElementById("json").addEventListener("click", () => save(json(), "application/json", "json"));
})();
