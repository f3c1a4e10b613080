// Theme, tables, list of errors and the views of one subject or video. Data never becomes HTML: text stays text.
const index = JSON.parse(document.getElementById("index").textContent);
const names = index.experiments;
let current = null; // the timeline of the open video: its flow is a picture in the colour of the text
const $ = (selector, root = document) => root.querySelector(selector);

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

const button = (text, label, onclick) => make("button", { type: "button", "aria-label": label, title: label, onclick }, text);
const link = (kind, id, text) => make("a", { href: `#/${kind}/${encodeURIComponent(id)}` }, text);

async function unpack(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

// ---- theme: as the system, light or dark
function setTheme(choice) {
  document.documentElement.dataset.theme = choice;
  document.documentElement.style.colorScheme = choice === "auto" ? "" : choice;
  $("#theme").textContent = `\u25d0 ${choice}`;
  $("#theme").setAttribute("aria-label", `Colours: ${choice}`);
  try { localStorage.setItem("pfes-theme", choice); } catch { /* a private window keeps nothing */ }
  current?.redraw();
}

function startTheme() {
  const order = ["auto", "light", "dark"], toggle = $("#theme");
  toggle.hidden = false;
  toggle.addEventListener("click", () => setTheme(order[(order.indexOf(document.documentElement.dataset.theme) + 1) % 3]));
  let kept = null;
  try { kept = localStorage.getItem("pfes-theme"); } catch { /* as above */ }
  setTheme(order.includes(kept) ? kept : "auto");
}

// ---- tables: sort by a header, find by text
function value(row, column) {
  const cell = row.cells[column], text = cell.dataset.value ?? cell.textContent.trim();
  const number = parseFloat(text.replace(/,/g, ""));
  return Number.isNaN(number) || !/^[-+.\d]/.test(text) ? text : number;
}

function compare(a, b) {
  if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  return typeof a === "number" ? -1 : 1;
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells].filter(head => !head.classList.contains("act"));
  heads.forEach((head, column) => {
    const sorter = make("button", { type: "button", class: "sorter" }, ...head.childNodes);
    sorter.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0], rows = [...body.rows].map(row => [value(row, column), row]);
      rows.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
      body.append(...rows.map(([, row]) => row));
    });
    head.replaceChildren(sorter);
  });
}

function searchable(input) {
  const table = document.getElementById(input.getAttribute("aria-controls")), count = $(`#${input.id}-count`);
  input.closest("[hidden]")?.removeAttribute("hidden");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      left += !row.hidden;
    }
    count.textContent = `${left} of ${table.tBodies[0].rows.length}`;
  });
}

// ---- errors: every missed instance and false positive, by kind, class and experiment, a page at a time
async function startErrors() {
  const host = $("#error-list");
  if (!host) return;
  const all = await unpack("errors-data"), form = $("#error-filter"), rows = $("tbody", host), more = $("#more-errors");
  form.hidden = host.hidden = false;
  let shown = 100;
  const draw = () => {
    const chosen = new FormData(form), kinds = new Set(chosen.getAll("kind"));
    const found = all.filter(row => kinds.has(row[1]) && (!chosen.get("experiment") || row[0] === +chosen.get("experiment") - 1)
      && (!chosen.get("class") || row[3] === chosen.get("class")));
    rows.replaceChildren(...found.slice(0, shown).map(([experiment, kind, cause, label, video, onset, offset]) => {
      const { id, name, subject, fps } = index.videos[video];
      return make("tr", {}, make("td", {}, names[experiment]), make("td", {}, kind), make("td", {}, cause), make("td", {}, label),
        make("td", {}, subject), make("td", {}, make("a", { href: `#/video/${encodeURIComponent(id)}/${onset}-${offset}` }, name)),
        make("td", { class: "n" }, fps ? (onset / fps).toFixed(2) : "–"), make("td", { class: "n" }, `${onset}–${offset}`));
    }));
    $("#error-count").textContent = `${found.length} of ${all.length} errors${found.length > shown ? `, the first ${shown} shown` : ""}`;
    more.hidden = found.length <= shown;
  };
  form.addEventListener("change", () => { shown = 100; draw(); });
  more.addEventListener("click", () => { shown += 400; draw(); });
  draw();
}

// ---- views
const seconds = (frame, fps) => (frame / fps).toFixed(2);
const number = new Map(index.videos.map((video, i) => [video.id, i]));

function label(video, view) {
  const parts = names.map((name, i) => `${name} found ${video.counts[i][0]}, missed ${video.counts[i][2]}, false positives ${video.counts[i][1]}`);
  return `Timeline of ${video.subject} / ${video.name}, ${seconds(view.frames, view.fps)} s: ${view.truth.length} labelled; ${parts.join("; ")}.`;
}

function legend(view, shown, redraw) {
  const entries = names.map((name, i) => {
    const [stroke, dashes] = STYLES[i % STYLES.length], line = svg("svg", { viewBox: "0 0 28 12", width: 28, height: 12, "aria-hidden": "true" });
    if (view.experiments[i].curve) svg("path", { d: "M0 6H28", stroke, "stroke-width": 1.8, "stroke-dasharray": dashes }, line);
    const box = make("input", { type: "checkbox", checked: true, onchange: event => { shown.experiments[event.target.checked ? "add" : "delete"](i); redraw(); } });
    return make("li", {}, make("label", {}, box, " ", view.experiments[i].curve ? line : "", name));
  });
  return make("ul", { class: "legend", "aria-label": "Legend; untick an experiment to hide it" }, ...entries, ...$("#swatches").content.cloneNode(true).children);
}

function drive(timeline, stage, status, readout) {
  const say = () => {
    const [from, to] = timeline.range, fps = timeline.view.fps;
    status.textContent = `${Math.max(0, from / fps).toFixed(2)} to ${(to / fps).toFixed(2)} s of ${seconds(timeline.view.frames, fps)} s`;
  };
  const moves = {
    "+": () => timeline.zoom(0.6), "=": () => timeline.zoom(0.6), "-": () => timeline.zoom(1 / 0.6), "_": () => timeline.zoom(1 / 0.6),
    "ArrowLeft": () => timeline.pan(-0.2), "ArrowRight": () => timeline.pan(0.2), "0": () => timeline.show(...timeline.full), "Home": () => timeline.show(...timeline.full),
  };
  timeline.onrange = say;
  say();
  stage.addEventListener("keydown", event => { if (moves[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); moves[event.key](); } });
  stage.addEventListener("wheel", event => {
    if (!event.ctrlKey && document.activeElement !== stage) return;
    event.preventDefault();
    const x = event.clientX - stage.getBoundingClientRect().left;
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) timeline.pan(event.deltaX / stage.clientWidth);
    else timeline.zoom(Math.exp(event.deltaY / 400), timeline.frame(x));
  }, { passive: false });
  let held = null;
  stage.addEventListener("pointerdown", event => { if (event.button === 0) { held = event.clientX; stage.setPointerCapture(event.pointerId); } });
  stage.addEventListener("pointermove", event => {
    if (held !== null && event.buttons) { timeline.pan((held - event.clientX) / (timeline.right - timeline.left)); held = event.clientX; }
    readout.textContent = timeline.point(event.clientX - stage.getBoundingClientRect().left);
  });
  stage.addEventListener("pointerup", () => { held = null; });
  stage.addEventListener("pointerleave", () => { readout.textContent = timeline.point(null); });
  const act = (text, name, key) => button(text, name, moves[key]);
  return make("div", { class: "tools", role: "group", "aria-label": "Zoom and move" }, act("+", "Zoom in", "+"), act("−", "Zoom out", "-"),
    act("◀", "Earlier", "ArrowLeft"), act("▶", "Later", "ArrowRight"), act("All", "Show the whole video", "0"));
}

function outcomes(video, view, timeline) {
  const rows = [];
  const add = (source, kind, onset, apex, offset, score, outcome, overlap) => rows.push(make("tr", {}, make("td", {}, source), make("td", {}, kind),
    ...[onset, apex, offset].map(frame => make("td", { class: "n" }, `${frame} (${seconds(frame, view.fps)} s)`)),
    make("td", { class: "n" }, score), make("td", { class: "wide" }, outcome), make("td", { class: "n" }, overlap),
    make("td", { class: "act" }, button("Zoom", `Zoom to ${source}, ${kind}, frame ${onset}`, () => { timeline.show(onset - 20, offset + 20); $(".timeline").scrollIntoView({ block: "nearest" }); }))));
  for (const [kind, onset, apex, offset, instance] of view.truth) {
    const missed = names.flatMap((name, i) => view.experiments[i].missed.filter(row => row[0] === instance).map(([, why]) => why === "missed" ? name : `${name} (${why})`));
    add("labelled", kind, onset, apex, offset, "", missed.length ? `missed by ${missed.join(", ")}` : names.length ? "found by all" : "", "");
  }
  view.experiments.forEach((experiment, i) => experiment.proposals.forEach(([kind, onset, apex, offset, score, instance, overlap, outcome]) =>
    add(names[i], kind, onset, apex, offset, score.toFixed(3), outcome, overlap ? overlap.toFixed(2) : "")));
  const heads = ["source", "class", "onset", "apex", "offset", "score", "outcome", "IoU"];
  const numeric = new Set(["onset", "apex", "offset", "score", "IoU"]);
  const table = make("table", { class: "sortable" }, make("caption", {}, "Labelled instances and proposals of this video; sampled frames and seconds."),
    make("thead", {}, make("tr", {}, ...heads.map(text => make("th", { scope: "col", class: numeric.has(text) && "n" }, text)), make("th", { scope: "col", class: "act" }, make("span", { class: "hidden" }, "zoom")))),
    make("tbody", {}, ...rows));
  sortable(table);
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Instances and proposals" }, table);
}

function pictures(view, timeline) {
  if (!view.pictures?.length) return null;
  return make("ul", { class: "pictures", "aria-label": "Faces at labelled apexes and at false positives" }, ...view.pictures.map(({ frame, kind, note, src }) => {
    const text = `${kind}, ${note}, frame ${frame}`;
    return make("li", {}, make("button", { type: "button", "aria-label": `Zoom to ${text}`, onclick: () => timeline.show(frame - 30, frame + 30) },
      make("img", { src, alt: `Face at ${text}`, width: index.thumbnail, height: index.thumbnail }), make("span", { class: kind }, kind), make("small", {}, note), make("small", {}, `${seconds(frame, view.fps)} s`)));
  }));
}

const everything = view => ({ experiments: new Set(names.map((_, i) => i)), signals: false, flow: false });

async function videoView(main, id, zoom) {
  const at = number.get(id), video = index.videos[at];
  if (!video) return main.append(make("h2", {}, "No such video"), make("p", {}, id));
  const near = (step, text) => index.videos[at + step] ? make("a", { href: `#/video/${encodeURIComponent(index.videos[at + step].id)}`, rel: step < 0 ? "prev" : "next" }, text) : null;
  main.append(make("nav", { class: "crumbs", "aria-label": "Videos" }, make("a", { href: "#videos" }, "All videos"), link("subject", video.subject, `Subject ${video.subject}`), near(-1, "← previous"), near(1, "next →")),
    make("h2", { tabindex: -1 }, `${video.subject} / ${video.name}`));
  if (video.refused !== null) return main.append(make("p", { class: "note" }, make("strong", {}, "Refused: "), video.refused));
  const view = await unpack(`view-${at}`), shown = everything(view);
  if (!main.isConnected) return undefined;
  main.append(make("p", {}, `${view.frames} sampled frames at ${view.fps.toFixed(2)} frames/s, ${seconds(view.frames, view.fps)} s; ${view.gaps.length === 1 ? "one gap" : view.gaps.length ? `${view.gaps.length} gaps` : "no gap"} without a face.`));
  const stage = make("div", { class: "timeline", tabindex: 0, role: "group", "aria-label": "Timeline. Plus and minus zoom, arrow keys move, 0 shows all." });
  const status = make("p", { class: "range", role: "status" }), readout = make("p", { class: "readout" });
  const figure = make("div", { class: "figure" });
  main.append(figure);
  figure.append(stage);
  const timeline = new Timeline(stage, view, names, label(video, view), shown);
  current = timeline;
  const tools = drive(timeline, stage, status, readout);
  const toggle = (key, text) => make("button", { type: "button", "aria-pressed": "false", onclick: event => {
    shown[key] = !shown[key]; event.target.setAttribute("aria-pressed", shown[key]); timeline.redraw(); } }, text);
  tools.append(toggle("signals", "Face signals"), view.flow ? toggle("flow", "ROI flow") : "");
  figure.before(legend(view, shown, () => timeline.redraw()));
  figure.prepend(tools, status);
  figure.append(readout, make("p", { class: "hint" }, "Drag to move; turn the wheel over a focused timeline (or with Ctrl) to zoom."));
  if (!view.flow && index.flow_note) figure.append(make("p", { class: "hint" }, index.flow_note));
  main.append(...[pictures(view, timeline), outcomes(video, view, timeline)].filter(Boolean));
  const [from, to] = (zoom || "").split("-").map(Number);
  if (to >= from) timeline.show(from - 30, to + 30);
}

function subjectView(main, subject) {
  const own = index.videos.filter(video => video.subject === subject);
  main.append(make("nav", { class: "crumbs", "aria-label": "Subjects" }, make("a", { href: "#subjects" }, "All subjects")), make("h2", { tabindex: -1 }, `Subject ${subject}`));
  if (!own.length) return main.append(make("p", {}, "No such subject."));
  const sums = names.map((name, i) => `${name}: ${own.reduce((n, v) => n + v.counts[i][0], 0)} found, ${own.reduce((n, v) => n + v.counts[i][2], 0)} missed, ${own.reduce((n, v) => n + v.counts[i][1], 0)} false positives`);
  main.append(make("ul", {}, ...sums.map(text => make("li", {}, text))));
  return stack(main, own);
}

// The timelines of many videos below each other; each is drawn when it comes near the window.
function stack(main, videos) {
  let keys = null;
  const draw = async (video, host) => {
    if (host.dataset.drawn) return;
    host.dataset.drawn = "yes";
    const view = await unpack(`view-${number.get(video.id)}`), shown = everything(view);
    new Timeline(host, view, names, label(video, view), shown);
    if (!keys) { keys = legend(view, shown, () => {}); keys.querySelectorAll("input").forEach(box => box.remove()); main.querySelector("h3").before(keys); }
  };
  const watcher = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting).forEach(({ target }) => draw(target.video, target)), { rootMargin: "600px" });
  const drawn = [];
  for (const video of videos) {
    main.append(make("h3", {}, link("video", video.id, `${video.subject} / ${video.name}`)));
    if (video.refused !== null) { main.append(make("p", { class: "note" }, `Refused: ${video.refused}`)); continue; }
    const host = make("div", { class: "timeline still" });
    host.video = video;
    main.append(host);
    watcher.observe(host);
    drawn.push([video, host]);
  }
  return () => Promise.all(drawn.map(([video, host]) => draw(video, host)));
}

function allView(main) {
  main.append(make("nav", { class: "crumbs", "aria-label": "Videos" }, make("a", { href: "#videos" }, "All videos")), make("h2", { tabindex: -1 }, "All timelines"));
  const status = make("p", { role: "status" });
  const ready = async () => { status.textContent = "Drawing …"; await finish(); status.textContent = "All timelines are drawn; print the page now."; };
  main.append(make("p", {}, make("button", { type: "button", onclick: ready }, "Draw all, to print them")), status);
  const finish = stack(main, index.videos);
}

function route() {
  const [, kind, id, zoom] = (location.hash.match(/^#\/(video|subject|timelines)(?:\/([^/]*))?(?:\/([^/]*))?$/) || []);
  const view = $("#view"), overview = $("#overview");
  const before = overview.hidden;
  overview.hidden = Boolean(kind);
  view.hidden = !kind;
  view.replaceChildren();
  current = null;
  document.body.classList.toggle("inside", Boolean(kind));
  if (!kind) { // "back" returns to where the reader was, a link to the section that it names
    if (before && history.state?.y !== undefined) window.scrollTo({ top: history.state.y, behavior: "instant" });
    else if (before && location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
    return;
  }
  const main = make("div");
  view.append(main);
  const wanted = decodeURIComponent(id || "");
  const done = kind === "video" ? videoView(main, wanted, zoom) : kind === "subject" ? subjectView(main, wanted) : allView(main);
  Promise.resolve(done).catch(error => { main.append(make("p", { class: "note" }, `This view could not be drawn: ${error.message}`)); console.error(error); });
  window.scrollTo(0, 0);
  $("h2", main)?.focus({ preventScroll: true });
}

startTheme();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => current?.redraw());
for (const event of ["beforeprint", "afterprint"]) window.addEventListener(event, () => current?.draw());
$(".skip").addEventListener("click", event => { event.preventDefault(); $("#main").focus(); }); // and keep the view
document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll("input[data-search]").forEach(searchable);
document.querySelectorAll(".needs-script").forEach(element => { element.hidden = false; });
document.addEventListener("click", event => { if (event.target.closest?.("a[href^='#/']")) history.replaceState({ y: window.scrollY }, ""); });
window.addEventListener("hashchange", route);
route();
const started = startErrors(); // what is drawn later than the load event: screenshots and tests wait for it
