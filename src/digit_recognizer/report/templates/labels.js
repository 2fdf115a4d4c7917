// Labels to check: marks are set on the page, stored in the browser, and saved as a file.
const labels = json("label-data") ?? { row: [] };
const marks = new Map(labels.row.map((row) => [row, ""]));
const MARKS = { wrong: "wrong", fine: "fine", unclear: "can't tell" };
const storage = `marks ${labels.run} ${location.pathname}`;

function markButtons(row) {
  return Object.entries(MARKS).map(([mark, text]) => {
    const button = element("button", text, { type: "button", className: "mark", ariaPressed: marks.get(row) === mark });
    Object.assign(button.dataset, { mark, row });
    return button;
  });
}

function setMark(row, mark) {
  marks.set(row, marks.get(row) === mark ? "" : mark);
  document.querySelectorAll(`.mark[data-row="${row}"]`).forEach((button) => (button.ariaPressed = button.dataset.mark === marks.get(row)));
  countMarks();
  try { localStorage.setItem(storage, JSON.stringify([...marks].filter(([, kept]) => kept))); } catch { /* not kept */ }
}

function countMarks() {
  const count = [...marks.values()].filter(Boolean).length;
  byId("marks-count").textContent = `${count} of ${marks.size} marked`;
}

function markedCsv() {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = labels.row.map((row, index) => [row, labels.label[index], labels.suggested[index], labels.probability[index], marks.get(row)]);
  return [["row", "label", "suggested", "probability", "mark"], ...lines].map((line) => `${line.map((cell) => quoted(String(cell))).join(",")}\n`).join("");
}

if (marks.size) {
  try { JSON.parse(localStorage.getItem(storage) ?? "[]").forEach(([row, mark]) => marks.has(row) && marks.set(row, mark)); } catch { /* none kept */ }
  document.querySelectorAll("#labels-to-check .digit").forEach((button) => {
    const group = element("div", "", { className: "marks" });
    group.append(...markButtons(details.row[button.dataset.digit]));
    button.after(group);
  });
  document.addEventListener("click", ({ target }) => target.matches(".mark") && setMark(Number(target.dataset.row), target.dataset.mark));
  byId("marks-save").onclick = () => {
    const link = element("a", "", { href: URL.createObjectURL(new Blob([markedCsv()], { type: "text/csv" })), download: `${labels.run}_labels.csv` });
    link.click();
    URL.revokeObjectURL(link.href);
  };
  panelButtons = (place) => (!details.test[place] && marks.has(details.row[place]) ? markButtons(details.row[place]) : []);
  countMarks();
}
