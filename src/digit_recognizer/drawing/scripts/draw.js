// The page: drawing on a canvas, and the probabilities of what is drawn so far.

import {inkOf, place} from "./prepare.js";

const SIDE = 28;  // pixels of the network's input
const PEN = 40;  // of the canvas's 448 pixels: the width of MNIST's strokes for a digit of usual size
const byId = (id) => document.getElementById(id);
const paper = byId("paper"), seen = byId("seen"), message = byId("message"), bars = byId("bars");
const pen = paper.getContext("2d", {willReadFrequently: true});
Object.assign(pen, {lineWidth: PEN, lineCap: "round", lineJoin: "round"});

const worker = new Worker("worker.js", {type: "module"});
let last = null;  // position of the pen while it is down
let pixels = null;  // the network's input, null while nothing is drawn
let busy = true, waiting = false;  // whether the network loads or computes, and whether there are newer pixels

bars.append(...Array.from({length: 10}, (_, digit) => {
  const row = byId("bar").content.cloneNode(true).firstElementChild;
  row.querySelector(".name").textContent = digit;
  return row;
}));
seen.width = seen.height = SIDE;

function show(probabilities) {
  const best = probabilities?.indexOf(Math.max(...probabilities));
  [...bars.children].forEach((row, label) => {
    const probability = probabilities ? probabilities[label] : 0;
    row.dataset.probability = probability;
    row.style.setProperty("--share", probability);
    row.querySelector(".percent").textContent = probabilities ? `${(100 * probability).toFixed(1)} %` : "";
    row.classList.toggle("predicted", label === best);
  });
  byId("best").textContent = best ?? "";
  byId("confidence").textContent = probabilities ? `${(100 * probabilities[best]).toFixed(1)} %` : "";
}

function update() {
  pixels = place(inkOf(pen.getImageData(0, 0, paper.width, paper.height)), SIDE);
  const picture = new ImageData(SIDE, SIDE);
  pixels?.forEach((value, i) => { picture.data[4 * i + 3] = value; });
  seen.getContext("2d").putImageData(picture, 0, 0);
  document.body.classList.toggle("blank", !pixels);
  if (pixels) predict(); else show(null);
}

function predict() {
  paper.ariaBusy = "true";
  waiting = busy;
  if (busy) return;
  busy = true;
  worker.postMessage({pixels, side: SIDE});
}

worker.onmessage = ({data: {ready, probabilities, error}}) => {
  if (error) return fail(error);
  if (ready) message.hidden = true;
  busy = false;
  if (pixels && probabilities) show(probabilities);
  if (pixels && waiting) predict(); else paper.ariaBusy = "false";
};
worker.onerror = (event) => fail(event.message ?? "its files are incomplete");

function fail(reason) {
  message.hidden = false;
  message.textContent = `The network can't run in this browser: ${reason}`;
}

function point(event) {
  const box = paper.getBoundingClientRect();
  return [(event.clientX - box.left) * paper.width / box.width, (event.clientY - box.top) * paper.height / box.height];
}

function lineTo(to) {
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(...to);
  pen.stroke();
  last = to;
}

paper.onpointerdown = (event) => {
  if (!event.isPrimary || event.button !== 0) return;
  paper.setPointerCapture(event.pointerId);
  last = point(event);
  lineTo(last);
  update();
};
paper.onpointermove = (event) => {
  if (!last || !event.isPrimary) return;
  for (const step of event.getCoalescedEvents?.() ?? [event]) lineTo(point(step));
  update();
};
paper.onpointerup = paper.onpointercancel = (event) => {
  if (event.isPrimary) last = null;
};

function clear() {
  last = null;
  pen.clearRect(0, 0, paper.width, paper.height);
  update();
}
byId("clear").onclick = clear;
addEventListener("keydown", (event) => event.key === "Escape" && clear());
show(null);
