// Tables that are sorted by a click on a column's header, ages, and the settings that differ between two selected rows.
document.querySelectorAll("time").forEach((time) => {
  const minutes = (Date.now() - new Date(time.dateTime)) / 60000;
  time.title = time.textContent;
  time.textContent = minutes < 100 ? `${Math.round(minutes)} min` : minutes < 2880 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`;
});

document.querySelectorAll("table.sortable").forEach((table) => {
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  table.querySelectorAll("thead button").forEach((button) => (button.onclick = () => {
    const head = button.closest("th"), ascending = head.ariaSort !== "ascending";
    const compare = (one, other) => (Number(one) - Number(other) || one.localeCompare(other, "en", { numeric: true })) * (ascending ? 1 : -1);
    const rows = [...table.tBodies[0].rows].sort((one, other) => {
      const [first, second] = [value(one, head.cellIndex), value(other, head.cellIndex)];
      return !first - !second || compare(first, second); // empty cells last
    });
    [...head.parentElement.cells].forEach((cell) => cell.removeAttribute("aria-sort"));
    head.ariaSort = ascending ? "ascending" : "descending";
    table.tBodies[0].append(...rows);
  }));
});

const settings = json("settings-data");
if (settings) {
  let ticked = [];
  byId("runs").addEventListener("change", ({ target }) => {
    ticked = [...ticked.filter((box) => box !== target), ...(target.checked ? [target] : [])];
    while (ticked.length > 2) ticked.shift().checked = false;
    const [first, second] = ticked.map((box) => settings[box.value]), table = byId("difference");
    table.hidden = ticked.length < 2;
    if (table.hidden) return;
    const names = [...new Set([...Object.keys(first), ...Object.keys(second)])].filter((name) => first[name] !== second[name]);
    table.querySelector("caption").textContent = names.length ? "Settings that differ" : "No setting differs";
    table.tHead.rows[0].replaceChildren(element("th", "setting"), ...ticked.map((box) => element("th", box.value)));
    table.tBodies[0].replaceChildren(...names.map((name) => {
      const row = element("tr");
      row.append(element("th", name), element("td", first[name] ?? ""), element("td", second[name] ?? ""));
      return row;
    }));
  });
}
