// The map: dots on a canvas, and a list of the same digits for the keyboard.
const map = json("map-data");
if (map) {
  const canvas = byId("map-canvas"), list = byId("map-list"), tip = byId("map-tip");
  const boxes = [...document.querySelectorAll('[name="map-class"]')];
  let points = [], current = null;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (label, alpha = 1) => `hsl(${(label * 137.5) % 360} 75% ${dark.matches ? 65 : 42}% / ${alpha})`;

  function filter() {
    const fold = byId("map-fold").value, onlyWrong = byId("map-wrong").checked;
    points = map.digits.map((place, index) => ({ place, x: map.x[index], y: map.y[index] })).filter(({ place }) =>
      boxes[details.label[place]].checked && (fold === "" || details.fold[place] === Number(fold)) && (!onlyWrong || isWrong(place)));
    list.replaceChildren(...points.map(({ place }) => element("option", `${captionOf(place)}, ${nameOf(place)}${isWrong(place) ? ", wrong" : ""}`, { value: place })));
    byId("map-count").textContent = `${points.length.toLocaleString("en")} of ${map.digits.length.toLocaleString("en")} digits`;
    current = null;
    draw();
  }

  const median = (values) => values.sort((one, other) => one - other)[Math.floor(values.length / 2)];
  const at = (point) => [12 + (point.x / 1000) * (canvas.clientWidth - 24), 12 + (point.y / 1000) * (canvas.clientHeight - 24)];

  function draw() {
    const ratio = devicePixelRatio, context = canvas.getContext("2d"), { color: ink, backgroundColor: paper } = getComputedStyle(document.body);
    canvas.width = ratio * canvas.clientWidth;
    canvas.height = ratio * canvas.clientHeight;
    context.scale(ratio, ratio);
    const ring = (point, radius, style, width) => {
      context.beginPath();
      context.arc(...at(point), radius, 0, 7);
      Object.assign(context, { strokeStyle: style, lineWidth: width });
      context.stroke();
    };
    for (const point of [...points].reverse()) {
      context.beginPath();
      context.arc(...at(point), 2.5, 0, 7);
      context.fillStyle = colour(details.label[point.place], isWrong(point.place) ? 1 : 0.7);
      context.fill();
      if (isWrong(point.place)) ring(point, 5, ink, 1.2);
    }
    Object.assign(context, { font: "bold 15px system-ui, sans-serif", textAlign: "center", lineWidth: 4, fillStyle: ink, strokeStyle: paper });
    details.classes.forEach((name, label) => {
      const [x, y] = ["x", "y"].map((axis) => median(points.filter(({ place }) => details.label[place] === label).map((point) => point[axis])));
      if (x === undefined) return;
      context.strokeText(name, ...at({ x, y }));
      context.fillText(name, ...at({ x, y }));
    });
    if (current) ring(current, 9, ink, 3);
    tip.hidden = !current;
    if (!current) return;
    const [x, y] = at(current);
    tip.replaceChildren(...digitItem(current.place).firstChild.childNodes);
    tip.style.translate = `${Math.min(x + 14, canvas.clientWidth - 130)}px ${y > canvas.clientHeight / 2 ? y - 130 : y + 14}px`;
  }

  function highlight(point) {
    if (point === current) return;
    current = point;
    draw();
  }

  function nearest({ offsetX, offsetY }) {
    const distance = (point) => Math.hypot(at(point)[0] - offsetX, at(point)[1] - offsetY);
    const close = points.filter((point) => distance(point) < 10);
    return close.sort((one, other) => distance(one) - distance(other))[0] ?? null;
  }

  const open = (point) => point && openPanel(point.place, points.map(({ place }) => place));
  canvas.onmousemove = (event) => highlight(nearest(event));
  canvas.onmouseleave = () => highlight(null);
  canvas.onclick = (event) => open(nearest(event));
  list.onchange = () => highlight(points[list.selectedIndex]);
  list.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // otherwise it would press the panel's first button
    open(points[list.selectedIndex]);
  });
  list.ondblclick = () => open(points[list.selectedIndex]);
  boxes.forEach((box) => box.labels[0].style.setProperty("--label", colour(Number(box.value))));
  byId("map-filter").onchange = filter;
  byId("map-all").onclick = byId("map-none").onclick = ({ target }) => {
    boxes.forEach((box) => (box.checked = target.id === "map-all"));
    filter();
  };
  new ResizeObserver(draw).observe(canvas);
  dark.onchange = draw;
  filter();
}
