"use strict";
// The label page. Frames are native frames from 0; the server keeps the sheet, this page only asks it for changes.

const $ = selector => document.querySelector(selector);
const svg = (name, attributes, parent, text) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
};

const LANES = { curve: [4, 60], candidates: [78, 16], rows: [108, 20], beside: [142, 14] };
const HEIGHT = 162, AHEAD = 45, KEPT = 400, MARGIN_S = 0.4;
let videos = [], at = 0, video = null, state = { rows: [], candidates: [], beside: [], frames: [], curve: [], gaps: [] };
let frame = 0, playing = null, chosen = null, neutralFrom = null, drag = null;
const pictures = new Map(), edits = new Map(); // edits: place of a candidate -> what was changed of it before it is accepted

function take(found) {
  state = found;
  for (const [place, cells] of edits) if (state.candidates[place]?.state === "open") Object.assign(state.candidates[place], cells);
}

function edit(cells) {
  edits.set(chosen.candidate, { ...edits.get(chosen.candidate), ...cells });
  Object.assign(candidate(), cells);
  draw();
}

// ---- pictures
function picture(number) {
  const address = `frame/${at}/${number}.jpg`;
  if (!pictures.has(address)) {
    const image = new Image();
    image.src = address;
    pictures.set(address, image);
    if (pictures.size > KEPT) pictures.delete(pictures.keys().next().value);
  }
  return pictures.get(address);
}

function show(number) {
  frame = Math.max(0, Math.min(video.frames - 1, number));
  const image = picture(frame), shown = $("#frame");
  shown.src = image.src;
  shown.alt = `Frame ${frame} of ${video.subject} ${video.video}`;
  shown.dataset.frame = frame;
  for (let next = frame + 1; next <= Math.min(video.frames - 1, frame + (playing ? AHEAD : 3)); next++) picture(next);
  const face = state.gaps.some(([from, to]) => from <= frame && frame <= to) ? ", no usable face" : "";
  $("#where").textContent = `frame ${frame} of ${video.frames - 1}, ${(frame / video.fps).toFixed(3)} s${face}${neutralFrom !== null ? `; neutral from frame ${neutralFrom}: n ends it` : ""}`;
  cursor();
}

// ---- playing; a loop has ends
function play(from = null, to = null) {
  if (playing && from === null) { playing = null; tool(" ").setAttribute("aria-pressed", "false"); return show(frame); }
  const start = from ?? (frame >= video.frames - 1 ? 0 : frame);
  playing = { from: start, to: to ?? video.frames - 1, loop: to !== null, began: performance.now() };
  tool(" ").setAttribute("aria-pressed", "true");
  const own = playing;
  const step = now => {
    if (playing !== own) return;
    const length = own.to - own.from + 1, passed = Math.floor((now - own.began) / 1000 * video.fps);
    const wanted = own.loop ? own.from + passed % length : own.from + passed;
    if (wanted > own.to) { playing = null; tool(" ").setAttribute("aria-pressed", "false"); return show(own.to); }
    if (picture(wanted).complete) { if (wanted !== frame) show(wanted); } else if (!own.loop) own.began += 16; // wait for the picture
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

function stop() { if (playing) { playing = null; tool(" ").setAttribute("aria-pressed", "false"); } }

// ---- the sheet
function say(text, problem = false) { $("#said").textContent = text; $("#said").classList.toggle("problem", problem); }

async function change(asked, done) {
  const answer = await fetch(`change/${at}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked) })
    .catch(() => null);
  if (!answer) return say("not saved: pfes label does not answer; is it still running?", true);
  const found = await answer.json();
  if (found.problem) return say(`not saved: ${found.problem}`, true);
  take(found);
  say(`${done}, saved`);
  draw();
}

function mark(kind) {
  const blind = state.gaps.some(([from, to]) => from <= frame && frame <= to);
  return change({ op: "add", class: kind, point: frame }, `${kind}-expression at frame ${frame}${blind ? " (no usable face there: it will teach little)" : ""}`);
}

function neutral() {
  if (neutralFrom === null) { neutralFrom = frame; say(`neutral from frame ${frame}; go to its end and press n`); return show(frame); }
  const [onset, offset] = [Math.min(neutralFrom, frame), Math.max(neutralFrom, frame)];
  neutralFrom = null;
  return change({ op: "add", class: "neutral", onset, offset }, `neutral from ${onset} to ${offset}`).then(() => show(frame));
}

const ends = row => [row.onset ?? row.point ?? row.apex, row.offset ?? row.point ?? row.apex];
const centre = row => row.point ?? row.apex ?? (row.onset + row.offset) / 2;

function nearest() {
  const far = row => { const [from, to] = ends(row); return from <= frame && frame <= to ? 0 : Math.min(Math.abs(frame - from), Math.abs(frame - to)); };
  return state.rows.reduce((best, row) => best === null || far(row) < far(best) || (far(row) === far(best) && Math.abs(centre(row) - frame) < Math.abs(centre(best) - frame)) ? row : best, null);
}

function remove() {
  const row = chosen?.row ? state.rows.find(own => own.id === chosen.row) : nearest();
  if (!row) return say("nothing is marked here", true);
  chosen = null;
  return change({ op: "delete", id: row.id }, `${row.class} at frame ${ends(row)[0]} deleted`);
}

// ---- candidates
const candidate = () => chosen?.candidate !== undefined ? state.candidates[chosen.candidate] : null;

function jump(direction) {
  const count = state.candidates.length;
  if (!count) return say(state.state === "measuring" ? "motion is still being measured" : "no candidates", true);
  const open = state.candidates.map((item, i) => i).filter(i => state.candidates[i].state === "open" || i === chosen?.candidate);
  if (!open.some(i => state.candidates[i].state === "open")) return say("no candidate is left");
  const place = open.indexOf(chosen?.candidate ?? -1);
  choose({ candidate: open[place < 0 ? (direction > 0 ? 0 : open.length - 1) : (place + direction + open.length) % open.length] });
}

function choose(what) {
  chosen = what;
  const item = candidate() ?? state.rows.find(row => row.id === what.row);
  const [from, to] = ends(item);
  show(item.apex ?? item.point ?? from);
  const margin = Math.round(MARGIN_S * video.fps);
  play(Math.max(0, from - margin), Math.min(video.frames - 1, to + margin));
  draw();
}

async function decide(accept) {
  const item = candidate();
  if (!item) return say("choose a candidate first: j", true);
  stop();
  const { kind, onset, apex, offset } = item;
  const asked = accept ? { op: "add", class: kind, onset, apex, offset, point: apex } : { op: "add", class: "neutral", onset, offset };
  await change(asked, accept ? `${kind} ${onset} to ${offset} accepted` : `${onset} to ${offset} rejected: neutral`);
  if (candidate()?.state !== "open" && state.candidates.some(left => left.state === "open")) jump(1);
}

function other() {
  const kinds = { macro: "micro", micro: "macro" };
  const item = candidate();
  if (item) { edit({ kind: kinds[item.kind] }); return say(`candidate is now ${item.kind}: a accepts it`); }
  const row = state.rows.find(own => own.id === chosen?.row);
  if (!row || !kinds[row.class]) return say("choose a candidate or an expression first", true);
  return change({ op: "change", id: row.id, class: kinds[row.class] }, `now ${kinds[row.class]}`);
}

// Set an end of what is chosen; a click becomes an interval once it has both.
function end(name, to = frame) {
  const item = candidate(), row = state.rows.find(own => own.id === chosen?.row);
  if (item) {
    if (name === "onset" ? to > item.apex : to < item.apex) return say("an end cannot pass the apex", true);
    edit({ [name]: to });
    return say(`${name} of the candidate: frame ${to}`);
  }
  if (!row) return say("choose a candidate or a label first", true);
  return change({ op: "change", id: row.id, [name]: to }, `${name} at frame ${to}`);
}

// ---- commands
const second = () => Math.round(video.fps / 2);
const COMMANDS = [
  [" ", "space", "Play, pause", () => play()], [",", ",", "Frame back", () => { stop(); show(frame - 1); }], [".", ".", "Frame on", () => { stop(); show(frame + 1); }],
  ["ArrowLeft", "←", "Half a second back", () => { stop(); show(frame - second()); }], ["ArrowRight", "→", "Half a second on", () => { stop(); show(frame + second()); }],
  ["M", "M", "Macro", () => mark("macro")], ["m", "m", "Micro", () => mark("micro")], ["n", "n", "Neutral", () => neutral()],
  ["x", "x", "Delete", () => remove()], ["u", "u", "Undo", () => change({ op: "undo" }, "last change undone")],
  ["j", "j", "Next candidate", () => jump(1)], ["k", "k", "Previous", () => jump(-1)],
  ["a", "a", "Accept", () => decide(true)], ["r", "r", "Reject", () => decide(false)], ["c", "c", "Other class", () => other()],
  ["[", "[", "Onset here", () => end("onset")], ["]", "]", "Offset here", () => end("offset")],
];
const tool = key => [...document.querySelectorAll("#tools button")].find(button => button.dataset.key === key);

for (const [key, shown, name, act] of COMMANDS) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.key = key;
  button.append(name, Object.assign(document.createElement("kbd"), { textContent: shown }));
  button.addEventListener("click", act);
  $("#tools").append(button);
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  if (event.key === "Enter" || (event.key === " " && event.target.tagName === "BUTTON" && event.target.dataset.key === undefined)) return;
  const command = COMMANDS.find(([key]) => key === event.key);
  if (command) { event.preventDefault(); command[3](); }
});

// ---- timeline
const width = () => $("#timeline").clientWidth || 600;
const x = number => number / Math.max(1, video.frames) * width();
const frameAt = clientX => Math.round((clientX - $("#timeline").getBoundingClientRect().left) / width() * video.frames);

function bar(item, lane, kind, name, title) {
  const [from, to] = ends(item), [top, height] = LANES[lane];
  const box = svg("rect", { x: x(from), y: top, width: Math.max(3, x(to + 1) - x(from)), height, class: `${name} ${kind}` }, $("#timeline"));
  svg("title", {}, box, title);
  return box;
}

function draw() {
  const host = $("#timeline");
  host.setAttribute("viewBox", `0 0 ${width()} ${HEIGHT}`);
  host.replaceChildren();
  for (const [from, to] of state.gaps) svg("rect", { x: x(from), y: 0, width: x(to + 1) - x(from), height: HEIGHT, class: "gap" }, host);
  const [top, height] = LANES.curve;
  const d = state.frames.map((number, i) => `${i ? "L" : "M"}${x(number).toFixed(1)} ${(top + height * (1 - state.curve[i])).toFixed(1)}`).join("");
  if (d) svg("path", { d, class: "curve" }, host);
  state.candidates.forEach((item, i) => {
    const box = bar(item, "candidates", item.kind, `candidate ${item.state}${chosen?.candidate === i ? " chosen" : ""}`, `${item.kind}, score ${item.score.toPrecision(3)}, ${item.state}`);
    box.addEventListener("click", () => choose({ candidate: i }));
  });
  for (const row of state.rows) {
    const box = bar(row, "rows", row.class, `row${chosen?.row === row.id ? " chosen" : ""}`, `${row.class}, labelled`);
    box.addEventListener("click", () => choose({ row: row.id }));
  }
  for (const row of state.beside) bar(row, "beside", row.class, "row", `${row.class}, second coder`);
  const item = candidate() ?? state.rows.find(row => row.id === chosen?.row && row.onset !== null && row.offset !== null);
  if (item) ["onset", "offset"].forEach((name, i) => {
    const [y, tall] = LANES[candidate() ? "candidates" : "rows"];
    const handle = svg("rect", { x: x(ends(item)[i] + i) - 5, y: y - 3, width: 10, height: tall + 6, class: "handle", "data-end": name }, host);
    handle.addEventListener("pointerdown", event => { drag = name; handle.setPointerCapture(event.pointerId); event.stopPropagation(); });
    handle.addEventListener("pointermove", event => { if (drag === name) show(frameAt(event.clientX)); });
    handle.addEventListener("pointerup", event => { if (drag === name) { drag = null; stop(); end(name, Math.max(0, Math.min(video.frames - 1, frameAt(event.clientX)))); } });
  });
  for (const [name, text] of [["candidates", "candidates"], ["rows", "labels"], ["beside", state.beside.length ? "second coder" : ""]]) svg("text", { x: 3, y: LANES[name][0] - 4, class: "lane" }, host, text);
  if (state.state !== "ready") svg("text", { x: 3, y: 36, class: "lane" }, host, state.state === "failed" ? `no motion: ${state.message}` : "motion is being measured; you can label meanwhile");
  svg("path", { class: "cursor" }, host);
  cursor();
  lists();
}

function cursor() { $("#timeline .cursor")?.setAttribute("d", `M${x(frame + 0.5)} 0V132`); }

function entry(text, kind, name, act) {
  const made = document.createElement("li"), button = document.createElement("button");
  button.type = "button";
  button.append(Object.assign(document.createElement("span"), { className: kind, textContent: kind }), ` ${text}`);
  button.addEventListener("click", act);
  made.className = name;
  made.append(button);
  return made;
}

function lists() {
  const time = number => `${(number / video.fps).toFixed(2)} s`;
  const open = state.candidates.filter(item => item.state === "open").length;
  $("#left").textContent = `${open} of ${state.candidates.length} open`;
  $("#candidates").replaceChildren(...state.candidates.map((item, i) =>
    entry(`${time(item.apex)}, ${item.score.toPrecision(3)}, ${item.state}`, item.kind, chosen?.candidate === i ? "chosen" : "", () => choose({ candidate: i }))));
  $("#count").textContent = `${state.rows.length} in this recording`;
  $("#rows").replaceChildren(...state.rows.map(row => {
    const [from, to] = ends(row);
    return entry(from === to ? `frame ${from}, ${time(from)}` : `frames ${from} to ${to}, ${time(from)}`, row.class, chosen?.row === row.id ? "chosen" : "", () => choose({ row: row.id }));
  }));
}

$("#timeline").addEventListener("pointerdown", event => { if (event.target.tagName !== "rect" || event.target.classList.contains("gap")) { stop(); show(frameAt(event.clientX)); drag = "cursor"; } });
$("#timeline").addEventListener("pointermove", event => { if (drag === "cursor" && event.buttons) show(frameAt(event.clientX)); });
addEventListener("pointerup", () => { if (drag === "cursor") drag = null; });
addEventListener("resize", () => video && draw());

// ---- start
async function open(number) {
  stop();
  at = number; video = videos[number]; chosen = null; neutralFrom = null; frame = 0; edits.clear();
  state = await (await fetch(`video/${number}`)).json();
  draw();
  show(0);
  watch(number);
}

async function watch(number) {
  while (at === number && state.state === "measuring") {
    await new Promise(done => setTimeout(done, 1500));
    const found = await fetch(`video/${number}`).then(answer => answer.json()).catch(() => null);
    if (found && at === number) { take(found); draw(); }
  }
}

(async () => {
  const found = await (await fetch("videos")).json();
  videos = found.videos;
  $("#sheet").textContent = `every change is saved to ${found.sheet}`;
  $("#video").append(...videos.map((item, i) => new Option(`${item.subject} / ${item.video}`, i)));
  $("#video").addEventListener("change", event => { open(Number(event.target.value)); event.target.blur(); });
  await open(0);
})();
