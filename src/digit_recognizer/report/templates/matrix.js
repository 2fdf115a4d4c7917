// Confusion matrices: a radio button chooses the matrix, a cell shows its digits.
const cells = json("cell-data");
if (cells) {
  const tables = [...document.querySelectorAll(".matrix[data-matrix]")];
  let chosen = null, cell = null;
  const table = () => tables.find((one) => one.dataset.matrix === chosen.value);
  const button = (name) => table().querySelector(`[data-cell="${name}"]`);
  const countIn = (one) => Number(one?.firstChild.textContent ?? 0);

  function predicted(place) {
    return chosen.dataset.kind === "seed" ? details.votes[place][chosen.dataset.index]?.[0] : prediction(place);
  }

  function show() {
    const [label, wanted] = cell.split(",").map(Number), hits = label === wanted, count = countIn(button(cell));
    const found = cells.filter((place) => details.label[place] === label && predicted(place) === wanted
      && (chosen.dataset.kind !== "fold" || details.fold[place] === Number(chosen.dataset.index)));
    if (hits) found.sort((one, other) => sureness(one) - sureness(other)).splice(30);
    const which = found.length < count ? `, the ${hits ? "least" : "most"} confident ${found.length}` : "";
    byId("cell-title").textContent = `${details.classes[label]} → ${details.classes[wanted]}: ${count.toLocaleString("en")} image${count === 1 ? "" : "s"}${which}`;
    fill(byId("cell-digits"), found.map((place) => digitItem(place)));
    tables.forEach((one) => one.querySelectorAll("button").forEach((other) => (other.ariaPressed = other.dataset.cell === cell)));
  }

  function choose(radio) {
    chosen = radio;
    tables.forEach((one) => (one.hidden = one !== table()));
    if (cell) show();
  }

  function move(from, down, right) {
    let [row, column] = from.dataset.cell.split(",").map(Number);
    do {
      row += down;
      column += right;
    } while (details.classes[row] !== undefined && details.classes[column] !== undefined && !button(`${row},${column}`));
    const next = button(`${row},${column}`);
    if (!next) return;
    [from.tabIndex, next.tabIndex] = [-1, 0];
    next.focus();
  }

  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  tables.forEach((one) => {
    one.querySelectorAll("button").forEach((other, index) => (other.tabIndex = index ? -1 : 0));
    one.addEventListener("click", ({ target }) => {
      if (!target.closest("[data-cell]")) return;
      cell = target.closest("[data-cell]").dataset.cell;
      show();
      byId("cell").scrollIntoView({ block: "nearest" });
    });
    one.addEventListener("keydown", (event) => {
      if (!steps[event.key] || !event.target.dataset.cell) return;
      event.preventDefault();
      move(event.target, ...steps[event.key]);
    });
  });
  const radios = [...document.querySelectorAll('[name="matrix"]')];
  radios.forEach((radio) => radio.addEventListener("change", () => choose(radio)));
  choose(radios.find((radio) => radio.checked)); // a browser may restore an earlier selection
  cell = [...table().querySelectorAll(".error button")].sort((one, other) => countIn(other) - countIn(one))[0]?.dataset.cell ?? null;
  choose(chosen);
}
