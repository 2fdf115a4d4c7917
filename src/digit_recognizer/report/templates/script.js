"use strict";
// Selecting a fold shows its matrix, selecting a cell its digits. Without JavaScript all matrices are visible.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));

const data = document.getElementById("cells");
if (data) {
  const { classes, columns, digits } = JSON.parse(data.textContent);
  const tables = [...document.querySelectorAll(".matrix")];
  const title = document.getElementById("cell-title");
  const list = document.getElementById("cell-digits");
  let fold = "all", cell = null;

  const table = () => tables.find((one) => one.dataset.fold === fold);
  const button = (name) => table().querySelector(`[data-cell="${name}"]`);

  function element(tag, text, parent) {
    const made = document.createElement(tag);
    made.textContent = text;
    return parent.appendChild(made);
  }

  function draw(index) {
    const item = element("li", "", list);
    const label = classes[digits.label[index]], prediction = classes[digits.prediction[index]];
    item.className = "digit";
    item.dataset.row = digits.row[index];
    const picture = element("i", "", item);
    picture.style.setProperty("--x", digits.place[index] % columns);
    picture.style.setProperty("--y", Math.floor(digits.place[index] / columns));
    element("b", `${label} → ${prediction}`, item);
    element("small", `${(Math.floor(digits.probability[index] * 1000) / 10).toFixed(1)} %`, item);
    element("small", `row ${digits.row[index]}, fold ${digits.fold[index]}`, item);
  }

  function show() {
    const [label, prediction] = cell.split(",").map(Number);
    const found = [...digits.row.keys()].filter(
      (index) =>
        digits.label[index] === label && digits.prediction[index] === prediction && (fold === "all" || digits.fold[index] === Number(fold)));
    const hits = label === prediction;
    const shown = hits ? found.slice(0, 30) : found;
    const count = Number(button(cell)?.firstChild.textContent ?? 0);
    const which = hits ? "the least confident" : "the most confident";
    title.textContent = `${classes[label]} → ${classes[prediction]}: ${count.toLocaleString("en")} image${count === 1 ? "" : "s"}`
      + (shown.length < count ? `, ${which} ${shown.length}` : "");
    list.replaceChildren();
    shown.forEach(draw);
    tables.forEach((one) => one.querySelectorAll("button").forEach((other) => other.setAttribute("aria-pressed", other.dataset.cell === cell)));
  }

  function showTable() {
    tables.forEach((one) => (one.hidden = one.dataset.fold !== fold));
    if (cell) show();
  }

  function go(from, down, right) {
    let [row, column] = from.dataset.cell.split(",").map(Number);
    do {
      row += down;
      column += right;
    } while (row >= 0 && column >= 0 && row < classes.length && column < classes.length && !button(`${row},${column}`));
    button(`${row},${column}`)?.focus();
  }

  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  tables.forEach((one) => {
    one.addEventListener("click", ({ target }) => {
      const chosen = target.closest("button");
      if (!chosen) return;
      cell = chosen.dataset.cell;
      show();
      document.getElementById("cell").scrollIntoView({ block: "nearest" });
    });
    one.addEventListener("keydown", (event) => {
      if (!steps[event.key] || !event.target.dataset.cell) return;
      event.preventDefault();
      go(event.target, ...steps[event.key]);
    });
  });
  document.querySelectorAll('[name="matrix"]').forEach((radio) =>
    radio.addEventListener("change", () => {
      fold = radio.value;
      showTable();
    }));

  fold = document.querySelector('[name="matrix"]:checked').value; // a browser may restore an earlier selection
  const errors = [...table().querySelectorAll(".error button")];
  const count = (one) => Number(one.firstChild.textContent);
  cell = errors.sort((one, other) => count(other) - count(one))[0]?.dataset.cell ?? null;
  showTable();
}
