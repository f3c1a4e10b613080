// One video's timeline as SVG: intensity, intervals, signals of the face and ROI flow over time, with zoom and pan.
// Frames are sampled and 0-based; frame t is drawn at t, an interval from half a frame before its onset to half after
// its offset. Nothing is told by colour alone: macro is the upper half of a lane and micro the lower, a proposal that
// found an instance is solid, a false positive hatched and hollow, a missed instance a cross.
const SVG = "http://www.w3.org/2000/svg";
const STYLES = [["var(--ink)", ""], ["var(--green)", "6 2.5"], ["var(--pink)", "1.5 1.5"], ["var(--olive)", "8 2.5 1.5 2.5"]];
const STEPS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200];
let patterns = 0;

function svg(name, attributes, parent, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

// Bars in order, each with its level: those of a class that overlap or touch are crowded, lower and by turns on two levels.
function levels(bars) {
  const placed = [...bars].sort((a, b) => a.onset - b.onset).map(bar => ({ ...bar, level: 0, crowded: 0 }));
  for (const kind of ["macro", "micro"]) {
    placed.filter(bar => bar.kind === kind).forEach((bar, i, own) => {
      if (!i || bar.onset > own[i - 1].offset + 1) return;
      bar.level = 1 - own[i - 1].level;
      bar.crowded = own[i - 1].crowded = 1;
    });
  }
  return placed;
}

class Timeline {
  // host: element to draw into; view: of one video; names: of the experiments; shown: {experiments: Set, signals, flow}
  constructor(host, view, names, label, shown) {
    Object.assign(this, { host, view, names, label, shown });
    this.full = [-0.5, view.frames - 0.5];
    this.range = [...this.full];
    this.pattern = `hatch${patterns++}`;
    this.onrange = () => {};
    this.waiting = false;
    this.draw();
    new ResizeObserver(() => this.redraw()).observe(host);
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; if (this.host.isConnected) this.draw(); });
  }

  // Zoom by a factor (below 1: closer) around a frame; by default the middle.
  zoom(factor, around = (this.range[0] + this.range[1]) / 2) {
    const least = Math.min(12, this.full[1] - this.full[0]);
    const width = Math.max(least, (this.range[1] - this.range[0]) * factor);
    const share = (around - this.range[0]) / (this.range[1] - this.range[0]);
    this.show(around - share * width, around + (1 - share) * width);
  }

  pan(share) {
    const way = share * (this.range[1] - this.range[0]);
    this.show(this.range[0] + way, this.range[1] + way);
  }

  show(from, to) {
    const width = Math.min(to - from, this.full[1] - this.full[0]);
    const start = Math.min(Math.max(from, this.full[0]), this.full[1] - width);
    this.range = [start, start + width];
    this.redraw();
    this.onrange();
  }

  x(frame) { return this.left + (frame - this.range[0]) / (this.range[1] - this.range[0]) * (this.right - this.left); }
  frame(x) { return this.range[0] + (x - this.left) / (this.right - this.left) * (this.range[1] - this.range[0]); }

  draw() {
    const width = Math.max(280, this.host.clientWidth || 900), view = this.view;
    this.left = 34; this.right = width - 8;
    const root = svg("svg", { role: "img", "aria-label": this.label });
    const defs = svg("defs", {}, root);
    for (const kind of ["macro", "micro", "ink"]) {
      const tile = svg("pattern", { id: `${this.pattern}-${kind}`, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, defs);
      svg("path", { d: "M0 0V5", stroke: `var(--${kind})`, "stroke-width": 1.7 }, tile);
    }
    const clip = svg("clipPath", { id: `${this.pattern}-clip` }, defs);
    this.body = svg("g", { "clip-path": `url(#${this.pattern}-clip)` });
    this.root = root;
    let y = 16;
    const top = y;
    y = this.intensity(y);
    if (view.continuous) y = this.signal(y, view.continuous, "continuous intensity (0 to 1)");
    y = this.lane(y, "labelled", view.truth.map(([kind, onset, apex, offset]) => ({ kind, onset, apex, offset, solid: true, title: `${kind}, labelled` })), []);
    view.experiments.forEach((experiment, index) => {
      if (!this.shown.experiments.has(index)) return;
      const bars = experiment.proposals.map(([kind, onset, apex, offset, score, instance, , outcome]) =>
        ({ kind, onset, apex, offset, solid: instance >= 0, title: `${kind}, ${outcome}, score ${score}` }));
      const truth = new Map(view.truth.map(row => [row[4], row]));
      y = this.lane(y, this.names[index], bars, experiment.missed.map(([instance]) => truth.get(instance)).filter(Boolean));
    });
    if (this.shown.signals) for (const signal of view.signals) y = this.signal(y, signal, `${signal.name} (0 to ${signal.high.toPrecision(2)} ${signal.unit})`);
    if (this.shown.flow && view.flow) y = this.flow(y);
    this.axis(top, y);
    svg("rect", { x: this.left, y: 0, width: this.right - this.left, height: y + 30 }, clip);
    for (const [onset, offset] of view.gaps) {
      const box = { x: this.x(onset - 0.5), y: top, width: this.x(offset + 0.5) - this.x(onset - 0.5), height: y - top };
      this.body.prepend(svg("rect", { ...box, fill: `url(#${this.pattern}-ink)`, opacity: 0.3 }), svg("rect", { ...box, fill: "var(--ink)", opacity: 0.08 }));
    }
    root.append(this.body);
    this.cursor = svg("path", { stroke: "var(--ink)", "stroke-dasharray": "2 2", opacity: 0.6, visibility: "hidden" }, root);
    this.top = top; this.bottom = y;
    const height = y + 32;
    for (const [key, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height })) root.setAttribute(key, value);
    this.host.replaceChildren(root);
  }

  intensity(y) {
    const height = 104, bottom = y + height, up = share => bottom - 4 - share * (height - 8);
    for (const [share, text] of [[0, "0"], [0.5, ".5"], [1, "1"]]) {
      svg("path", { d: `M${this.left} ${up(share)}H${this.right}`, class: "grid" }, this.root);
      svg("text", { x: this.left - 5, y: up(share) + 4, class: "tick end" }, this.root, text);
    }
    if (this.view.true) {
      const d = this.path(this.view.true, up);
      if (d) svg("path", { d: `${d}V${up(0)}H${this.x(Math.max(0, this.range[0]))}Z`, fill: "var(--ink)", opacity: 0.16 }, this.body);
    }
    this.view.experiments.forEach((experiment, index) => {
      if (!experiment.curve || !this.shown.experiments.has(index)) return;
      const [stroke, dashes] = STYLES[index % STYLES.length];
      svg("path", { d: this.path(experiment.curve, up), class: "curve", stroke, "stroke-dasharray": dashes }, this.body);
    });
    return bottom + 4;
  }

  // The visible part of a curve as path data; up: share of the range -> y. A missing value breaks the line.
  path(curve, up) {
    const step = curve.step, from = Math.max(0, Math.floor(this.range[0] / step) - 1);
    const to = Math.min(curve.values.length - 1, Math.ceil(this.range[1] / step) + 1);
    let d = "", pen = false;
    for (let i = from; i <= to; i++) {
      const value = curve.values[i];
      if (value !== null) d += `${pen ? "L" : "M"}${this.x(i * step + (step - 1) / 2).toFixed(1)} ${up(value / 254).toFixed(1)}`;
      pen = value !== null;
    }
    return d;
  }

  lane(y, name, bars, missed) {
    this.heading(y, name);
    const middle = { macro: y + 19.5, micro: y + 32.5 };
    for (const bar of levels(bars)) {
      const left = this.x(bar.onset - 0.5), width = Math.max(2, this.x(bar.offset + 0.5) - left);
      const y0 = middle[bar.kind] - 5 + 3 * bar.level, high = 10 - 3 * bar.crowded;
      const colour = `var(--${bar.kind})`, fill = bar.solid ? colour : `url(#${this.pattern}-${bar.kind})`;
      const box = svg("rect", { x: left, y: y0, width, height: high, fill, stroke: bar.solid && bar.crowded ? "var(--paper)" : colour }, this.body);
      svg("title", {}, box, `${bar.title}, frames ${bar.onset} to ${bar.offset}`);
      svg("path", { d: `M${this.x(bar.apex)} ${y0}v${high}`, stroke: bar.solid ? "var(--paper)" : "var(--ink)", "stroke-width": 1.6 }, this.body);
    }
    for (const [kind, onset, apex, offset] of missed) {
      const cross = svg("path", { d: `M${this.x(apex) - 4} ${middle[kind] - 4}l8 8m0 -8l-8 8`, stroke: `var(--${kind})`, "stroke-width": 2 }, this.body);
      svg("title", {}, cross, `${kind}, missed, frames ${onset} to ${offset}`);
    }
    return y + 40;
  }

  signal(y, signal, heading) {
    this.heading(y, heading);
    svg("path", { d: this.path(signal, share => y + 40 - share * 24), class: "curve thin" }, this.body);
    return y + 44;
  }

  flow(y) {
    const { rois, values, step, high, lag } = this.view.flow, row = 12;
    this.heading(y, `flow over ${lag} frames, 0 to ${high.toPrecision(3)} px of the crop`);
    const canvas = document.createElement("canvas"), columns = values[0].length;
    canvas.width = columns; canvas.height = rois.length;
    const context = canvas.getContext("2d"), image = context.createImageData(columns, rois.length);
    const ink = matchMedia("print").matches ? [27, 27, 27] : (getComputedStyle(this.host).color.match(/\d+/g) || [27, 27, 27]);
    values.forEach((line, r) => line.forEach((value, c) => image.data.set([ink[0], ink[1], ink[2], value || 0], 4 * (r * columns + c))));
    context.putImageData(image, 0, 0);
    const left = this.x(-0.5), right = this.x(columns * step - 0.5);
    svg("image", { href: canvas.toDataURL(), x: left, y: y + 14, width: right - left, height: row * rois.length, preserveAspectRatio: "none", style: "image-rendering: pixelated" }, this.body);
    rois.forEach((name, r) => svg("text", { x: this.left + 4, y: y + 14 + row * r + 9.5, class: "roi" }, this.root, name));
    return y + 14 + row * rois.length + 6;
  }

  heading(y, text) {
    svg("path", { d: `M${this.left} ${y + 0.5}H${this.right}`, class: "grid" }, this.root);
    svg("text", { x: this.left + 5, y: y + 12, class: "tick" }, this.root, text);
  }

  axis(top, bottom) {
    const fps = this.view.fps, span = (this.range[1] - this.range[0]) / fps;
    const step = STEPS.find(s => span / s <= (this.right - this.left) / 52) || 3600;
    for (let s = Math.ceil(this.range[0] / fps / step) * step; s <= this.range[1] / fps + 1e-9; s += step) {
      const x = this.x(s * fps);
      if (x < this.left || x > this.right) continue;
      svg("path", { d: `M${x} ${top}V${bottom + 4}`, class: "grid" }, this.root);
      const anchor = x > this.right - 14 ? "end" : "middle";
      svg("text", { x: anchor === "end" ? this.right : x, y: bottom + 15, class: `tick ${anchor}` }, this.root, s.toFixed(step < 0.1 ? 2 : step < 1 ? 1 : 0));
      svg("text", { x: anchor === "end" ? this.right : x, y: 11, class: `tick ${anchor}` }, this.root, Math.round(s * fps));
    }
    svg("path", { d: `M${this.left} ${bottom}H${this.right}M${this.left} ${top}V${bottom}`, class: "frame" }, this.root);
    svg("text", { x: this.right, y: bottom + 28, class: "tick end" }, this.root, "seconds (frames above)");
  }

  // Move the cursor to x (px, null: away) and return what stands there.
  point(x) {
    const inside = x !== null && x >= this.left && x <= this.right;
    this.cursor.setAttribute("visibility", inside ? "visible" : "hidden");
    if (!inside) return "";
    const frame = Math.min(this.view.frames - 1, Math.max(0, Math.round(this.frame(x))));
    this.cursor.setAttribute("d", `M${this.x(frame)} ${this.top}V${this.bottom}`);
    const parts = [`${(frame / this.view.fps).toFixed(2)} s, frame ${frame}`];
    this.view.experiments.forEach(({ curve }, index) => {
      const value = curve && curve.values[Math.floor(frame / curve.step)];
      if (curve && this.shown.experiments.has(index)) parts.push(`${this.names[index]} ${value === null ? "no face" : (value / 254 * curve.high).toFixed(2)}`);
    });
    const continuous = this.view.continuous, value = continuous?.values[Math.floor(frame / continuous.step)];
    if (continuous) parts.push(`continuous ${value === null ? "no face" : (value / 254).toFixed(2)}`);
    return parts.join(" · ");
  }
}
