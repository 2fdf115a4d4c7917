"use strict";
// Code of all pages: helpers, wide tables, digits and the panel for one digit. Without JavaScript all content is visible.

const byId = (id) => document.getElementById(id);
const json = (id) => JSON.parse(byId(id)?.textContent ?? "null");

function element(tag, text = "", properties = {}) {
  return Object.assign(document.createElement(tag), { textContent: text }, properties);
}

addEventListener("beforeprint", () => document.querySelectorAll("main details").forEach((part) => (part.open = true)));

// A table that is wider than the screen shows that it scrolls.
const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => {
  const wide = target.scrollWidth > target.clientWidth + 1;
  target.classList.toggle("wide", wide);
  if (wide) target.tabIndex = 0; else target.removeAttribute("tabindex");
}));
document.querySelectorAll(".scroll").forEach((part) => sizes.observe(part));

// Digits: their details by the place in the sheet.
const details = json("digit-data");
const percent = (thousandths) => `${(thousandths / 10).toFixed(1)} %`;
const prediction = (place) => details.prediction[place];
const sureness = (place) => details.probabilities[place]?.[prediction(place)] ?? 0;
const modelsOf = (place) => details.models[details.test[place]] ?? { kind: "model", names: [] };
const isWrong = (place) => details.label[place] !== null && prediction(place) !== null && prediction(place) !== details.label[place];

function nameOf(place) {
  return details.test[place] ? `ImageId ${details.row[place] + 1}`
    : `row ${details.row[place]}${details.fold[place] === null ? "" : `, fold ${details.fold[place]}`}`;
}

function captionOf(place) {
  const { classes, label } = details;
  if (prediction(place) === null) return `label ${classes[label[place]]}`;
  return label[place] === null ? classes[prediction(place)] : `${classes[label[place]]} → ${classes[prediction(place)]}`;
}

function showImage(picture, place) {
  picture.style.setProperty("--x", place % details.columns);
  picture.style.setProperty("--y", Math.floor(place / details.columns));
}

function digitItem(place, title = captionOf(place), lines = [percent(sureness(place)), nameOf(place)]) {
  const item = element("li"), button = element("button", "", { type: "button", className: "digit" }), picture = element("i");
  button.dataset.digit = place;
  showImage(picture, place);
  button.append(picture, element("b", title), ...lines.map((line) => element("small", line)));
  item.append(button);
  return item;
}

// A list of digits has one tab stop; arrow keys move within it.
function tabStop(list) {
  list.querySelectorAll("button.digit").forEach((button, index) => (button.tabIndex = index ? -1 : 0));
}

function fill(list, items) {
  list.replaceChildren(...items);
  tabStop(list);
}

document.querySelectorAll(".digits").forEach(tabStop);
document.addEventListener("keydown", (event) => {
  const list = event.target.matches("button.digit") && event.target.closest(".digits");
  if (!list) return;
  const buttons = [...list.querySelectorAll("button.digit")], index = buttons.indexOf(event.target);
  const columns = buttons.filter((button) => button.offsetTop === buttons[0].offsetTop).length;
  const next = buttons[index + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key]];
  if (!next) return;
  event.preventDefault();
  [event.target.tabIndex, next.tabIndex] = [-1, 0];
  next.focus();
});

// The panel for one digit.
const panel = byId("panel");
let shown = null, siblings = [], panelButtons = () => [];

function openPanel(place, places) {
  siblings = places;
  showDigit(place);
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
}

function showDigit(place) {
  const { classes, probabilities, votes } = details, reason = details.reasons[place];
  shown = place;
  byId("panel-title").textContent = `${captionOf(place)}, ${nameOf(place)}`;
  panel.querySelectorAll(".large i").forEach((picture) => showImage(picture, place));
  const bars = (probabilities[place] ?? []).map((share, label) => {
    const bar = element("li"), count = votes[place].filter((vote) => vote?.[0] === label).length;
    bar.className = [label === prediction(place) && "predicted", label === details.label[place] && "labelled"].filter(Boolean).join(" ");
    bar.style.setProperty("--share", share / 1000);
    bar.append(element("span", classes[label]), element("span", "", { className: "track" }), element("span", percent(share)),
      element("small", [label === details.label[place] && "label", votes[place].length > 1 && count && `${count} vote${count === 1 ? "" : "s"}`].filter(Boolean).join(", ")));
    return bar;
  });
  byId("panel-bars").replaceChildren(...bars);
  byId("panel-bars-title").hidden = !bars.length;
  byId("panel-bars-title").textContent = votes[place].length > 1
    ? `Probabilities, ${modelsOf(place).combination} of ${votes[place].length} ${modelsOf(place).kind}s` : "Probabilities";
  showVotes(place);
  showReason(place, reason);
  byId("panel-marks").replaceChildren(...panelButtons(place));
  const position = siblings.indexOf(place);
  byId("panel-previous").disabled = position <= 0;
  byId("panel-next").disabled = position < 0 || position === siblings.length - 1;
}

function commentOn(missed, count) {
  if (missed === count) return ": a hard image or a wrong label";
  if (2 * missed > count) return ": a hard image";
  return missed ? ": probably chance" : "";
}

function showVotes(place) {
  const { classes, label } = details, { kind, names } = modelsOf(place);
  const votes = names.map((name, index) => [name, details.votes[place][index]]).filter(([, vote]) => vote);
  const truth = label[place], missed = votes.filter(([, [vote]]) => vote !== truth).length;
  let verdict = "";
  if (votes.length && truth === null) {
    const agreeing = votes.filter(([, [vote]]) => vote === prediction(place)).length;
    verdict = `${agreeing} of ${votes.length} ${kind}s predict ${classes[prediction(place)]}.`;
  } else if (votes.length > 1) {
    verdict = `${missed} of ${votes.length} ${kind}s are wrong${kind === "seed" ? commentOn(missed, votes.length) : ""}.`;
  }
  byId("panel-verdict").textContent = verdict;
  byId("panel-votes").hidden = votes.length < 2;
  byId("panel-votes").querySelector("ul").replaceChildren(...votes.map(([name, [vote, share]]) =>
    element("li", `${name}: ${classes[vote]} (${percent(share)})${truth === null || vote === truth ? "" : ", wrong"}`)));
}

function showReason(place, reason) {
  byId("panel-occluded").hidden = byId("panel-neighbours").hidden = !reason;
  byId("panel-occlusion-text").textContent = "";
  if (!reason) return;
  const [first, second] = reason.classes.map((label) => details.classes[label]);
  drawOcclusion(Int8Array.from(atob(reason.occlusion), (character) => character.charCodeAt(0)));
  byId("panel-occlusion-text").textContent = `Occlusion map: orange parts are evidence for ${first}, blue parts for ${second}. Hiding the `
    + `strongest part changes log p(${first}) − log p(${second}) by ${reason.strongest}.`;
  const list = byId("panel-neighbours").querySelector("ul");
  byId("panel-neighbours").querySelector("p").textContent = `By the features of the second-to-last layer of the model of ${reason.model}, among ${reason.searched.toLocaleString("en")} of the images that it was trained on.`;
  fill(list, reason.neighbours.map(([neighbour, similarity]) =>
    digitItem(neighbour, `label ${details.classes[details.label[neighbour]]}`, [`similarity ${similarity.toFixed(3)}`, nameOf(neighbour)])));
}

function drawOcclusion(cells) {
  const canvas = byId("panel-occlusion"), picture = new ImageData(canvas.width, canvas.height);
  cells.forEach((value, index) => {
    const colour = value > 0 ? [255, 112, 40] : [70, 150, 255];
    picture.data.set([...colour, Math.min(1.6 * Math.abs(value), 190)], 4 * index);
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

function step(by) {
  const next = siblings[siblings.indexOf(shown) + by];
  if (next !== undefined && siblings.includes(shown)) showDigit(next);
}

if (panel) {
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("button.digit");
    if (!button) return;
    const list = [...button.closest(".digits").querySelectorAll("button.digit")];
    openPanel(Number(button.dataset.digit), list.map((other) => Number(other.dataset.digit)));
  });
  byId("panel-previous").onclick = () => step(-1);
  byId("panel-next").onclick = () => step(1);
  byId("panel-close").onclick = () => panel.close();
  panel.addEventListener("click", ({ target }) => target === panel && panel.close());
  panel.addEventListener("keydown", ({ key, target }) => target.closest(".digits") || step({ ArrowLeft: -1, ArrowRight: 1 }[key] ?? 0));
}
