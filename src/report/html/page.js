"use strict";
// The report, alive: one filter over all views. Everything that the sweep names goes onto the page as text, never as HTML.
(() => {
const root = document.documentElement;
root.classList.add("js");
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const { axes, groups, trials } = data;
const count = groups.n.length;
const times = { started: performance.now() };

// ---- Small helpers

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
const percent = (share, digits = 2) => (100 * share).toFixed(digits);
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const CIVIDIS = [[0, 34, 78], [8, 51, 112], [53, 69, 108], [79, 87, 108], [102, 105, 112], [125, 124, 120], [148, 142, 119], [174, 163, 113],
  [200, 184, 102], [229, 207, 82], [254, 232, 56]];
function cividis(value) {
  const place = Math.min(1, Math.max(0, value)) * 10, low = Math.min(9, Math.floor(place)), part = place - low;
  return `rgb(${CIVIDIS[low].map((from, c) => Math.round(from + part * (CIVIDIS[low + 1][c] - from))).join(",")})`;
}
const scaled = (accuracy) => (accuracy - data.colours[0]) / (data.colours[1] - data.colours[0]);
function soon(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; work(); });
  };
}
function configuration(group) {
  return axes.map((axis, a) => `${axis.name} ${axis.values[groups.at[a][group]]}`).join("\n");
}
function withoutMean(g) {
  if (groups.diverged[g]) return "diverged";
  if (groups.dropped[g]) return `${percent(groups.dropped[g][1])} at cut ${groups.dropped[g][0]}`;
  return trialsOf[g].some((t) => trials.status[t] === "failed") ? "failed" : "no result yet";
}
function described(group) {
  const mean = groups.mean[group], sd = groups.sd[group];
  const accuracy = mean === null ? withoutMean(group)
    : `${percent(mean)}${sd === null ? "" : ` ± ${percent(sd)}`} %` + (groups.n[group] > 1 ? ` (${groups.n[group]} ${data.noun}s)` : "");
  return `rank ${group + 1}: ${accuracy}\n${configuration(group)}`;
}

// ---- State, and its home in the address

const defaults = { filter: "", top: 100, sort: "rank", down: false, pins: [], mode: "configurations", pair: null, measure: "mean",
  metric: "val", by: "epoch", theme: "auto", order: axes.map((_, a) => a), brushes: {} };
const state = structuredClone(defaults);

function stored() {
  const kept = {};
  for (const key of Object.keys(defaults)) {
    if (JSON.stringify(state[key]) !== JSON.stringify(defaults[key])) kept[key] = state[key];
  }
  return Object.keys(kept).length ? "#view=" + encodeURIComponent(JSON.stringify(kept)) : "";
}
function restore() {
  Object.assign(state, structuredClone(defaults));
  const found = location.hash.match(/^#view=(.*)$/);
  if (!found) return;
  try {
    const kept = JSON.parse(decodeURIComponent(found[1]));
    for (const key of Object.keys(defaults)) {
      const fits = kept !== null && key in kept && (defaults[key] === null || typeof kept[key] === typeof defaults[key]);
      if (fits && Array.isArray(kept[key]) === Array.isArray(defaults[key] ?? kept[key])) state[key] = kept[key];
    }
  } catch { /* An address that somebody cut: the view is the plain one. */ }
  const order = new Set(state.order.filter((a) => Number.isInteger(a) && a >= 0 && a < axes.length));
  axes.forEach((_, a) => order.add(a));
  state.order = [...order];
  state.pins = state.pins.filter((g) => Number.isInteger(g) && g >= 0 && g < count);
  if (!Array.isArray(state.pair) || !state.pair.every((a) => axes[a])) state.pair = null;
  for (const a of Object.keys(state.brushes)) {
    const brush = state.brushes[a];
    if (!axes[a] || !Array.isArray(brush)) delete state.brushes[a];
  }
}
function store() {
  history.replaceState(null, "", stored() || location.pathname + location.search);
}

// ---- The filter

const places = new Map(axes.map((axis, a) => [axis.name, a]));
const fixed = new Map(data.fixed);
const rankOf = Array.from({ length: count }, (_, g) => g + 1);
const columns = { mean: groups.mean, accuracy: groups.mean, sd: groups.sd, n: groups.n, diverged: groups.diverged, seconds: groups.seconds, rank: rankOf };
const trialsOf = Array.from({ length: count }, () => []);
trials.group.forEach((group, t) => trialsOf[group].push(t));

/// A filter as a function of a group and one of a trial; or what is wrong with it.
function parsed(text) {
  const tests = [], ofTrials = [];
  for (const word of text.trim().split(/\s+/).filter(Boolean)) {
    const found = word.match(/^([A-Za-z_0-9]+)(>=|<=|!=|=|<|>|:)(.+)$/);
    if (!found) return { wrong: `“${word}” is no condition such as hidden>=100` };
    const [, name, sign, right] = found;
    const options = right.split(",");
    const compare = (value, wanted) => {
      const [a, b] = [Number(value), Number(wanted)];
      const numeric = value !== null && value !== "" && !Number.isNaN(a) && !Number.isNaN(b);
      switch (sign) {
        case ">=": return numeric && a >= b;
        case "<=": return numeric && a <= b;
        case ">": return numeric && a > b;
        case "<": return numeric && a < b;
        default: return numeric ? a === b : String(value) === wanted;
      }
    };
    const holds = (value) => sign === "!=" ? !options.some((o) => compare(value, o)) : options.some((o) => compare(value, o));
    if (places.has(name)) {
      const a = places.get(name);
      const of = axes[a].values.map(holds);
      tests.push((g) => of[groups.at[a][g]]);
    } else if (name in columns) {
      const percents = name === "mean" || name === "accuracy" || name === "sd";
      // 50 and 0.5 are both half: no accuracy is above 1, and none asked for in per cent is below.
      const limit = percents ? options.map((o) => Number(o) > 1 ? Number(o) / 100 : o) : options;
      tests.push((g) => sign === "!=" ? !limit.some((o) => compare(columns[name][g], o)) : limit.some((o) => compare(columns[name][g], o)));
    } else if (name === "seed") {
      ofTrials.push((t) => holds(trials.seed[t]));
    } else if (name === "trial") {
      ofTrials.push((t) => options.some((o) => trials.id[t].startsWith(o)) === (sign !== "!="));
    } else if (name === "status") {
      ofTrials.push((t) => holds(trials.status[t] ?? "missing"));
    } else if (fixed.has(name)) {
      const all = holds(fixed.get(name));
      tests.push(() => all);
    } else {
      return { wrong: `no hyperparameter is called “${name}”` };
    }
  }
  const ofTrial = (t) => ofTrials.every((test) => test(t));
  if (ofTrials.length) tests.push((g) => trialsOf[g].some(ofTrial));
  return { group: (g) => tests.every((test) => test(g)), trial: ofTrial };
}

let selected = [];          // groups that the filter leaves, best first
let isSelected = new Uint8Array(count);
let trialFilter = () => true;

function isInBrushes(g) {
  for (const [a, brush] of Object.entries(state.brushes)) {
    const axis = axes[a], value = groups.at[a][g];
    if (axis.listed ? !brush.includes(value) : axis.numbers[value] < brush[0] || axis.numbers[value] > brush[1]) return false;
  }
  return true;
}
function select() {
  const filter = parsed(state.filter);
  const input = byId("filter"), shown = byId("shown");
  input.setAttribute("aria-invalid", filter.wrong ? "true" : "false");
  shown.classList.toggle("wrong", Boolean(filter.wrong));
  if (filter.wrong) {
    shown.textContent = filter.wrong;
    return false;
  }
  trialFilter = filter.trial;
  const most = Math.ceil(count * state.top / 100);
  selected = [];
  isSelected = new Uint8Array(count);
  for (let g = 0; g < count; g++) {
    if (g < most && filter.group(g) && isInBrushes(g)) {
      isSelected[g] = 1;
      selected.push(g);
    }
  }
  shown.textContent = `${selected.length.toLocaleString("en")} of ${count.toLocaleString("en")}`;
  return true;
}
const isFiltered = () => selected.length < count;

/// Everything again after the filter changed.
function refilter() {
  const begun = performance.now();
  if (!select()) return;
  drawLines();
  drawRows(true);
  markAreas();
  root.dataset.filterMs = (performance.now() - begun).toFixed(1);
  drawRest();
}
/// What a person does not look at while they brush: in the next frame.
const drawRest = soon(() => {
  drawOverlays();
  drawPair();
  drawCloud();
  store();
});
function toggleValue(a, value, only = false) {
  const axis = axes[a];
  if (!axis.listed) return;
  const brush = new Set(only ? [] : state.brushes[a] ?? []);
  if (brush.has(value)) brush.delete(value); else brush.add(value);
  setBrush(a, [...brush].sort((x, y) => x - y));
}
function setBrush(a, brush) {
  const whole = axes[a].listed && brush.length === axes[a].values.length;
  if (!brush.length || whole) delete state.brushes[a]; else state.brushes[a] = brush;
  syncBrushFields();
  refilter();
}

// ---- A tip that follows the pointer

const tip = byId("tip");
function showTip(text, event) {
  if (!text) { tip.hidden = true; return; }
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const x = Math.min(event.clientX + 14, innerWidth - width - 8);
  const y = event.clientY + 16 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 16;
  tip.style.left = `${Math.max(4, x)}px`;
  tip.style.top = `${Math.max(4, y)}px`;
}

// ---- A canvas with sharp lines, which draws long pictures in parts

function prepared(canvas, height) {
  const ratio = Math.min(2, devicePixelRatio || 1), width = Math.max(280, canvas.clientWidth);
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  return { context, width, height };
}
const running = new Map();
/// Calls `part(i)` for i in 0..parts, as many a frame as fit, then `end`; a later call for the same picture takes its place.
function inParts(name, parts, part, end = () => {}) {
  const turn = (running.get(name) ?? 0) + 1;
  running.set(name, turn);
  let at = 0;
  const go = () => {
    if (running.get(name) !== turn) return;
    const until = performance.now() + 14;
    while (at < parts) {
      part(at++);
      if (performance.now() > until) break;
    }
    end(at >= parts);
    if (at < parts) requestAnimationFrame(go);
  };
  go();
}
function fit(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let kept = text;
  while (kept && context.measureText(kept + "…").width > width) kept = kept.slice(0, -1);
  return kept + "…";
}

// ---- Parallel plot

const lines = byId("lines");
let plot = null;   // where everything stands
const BUCKETS = 48;

function lineRows() {
  if (state.mode === "trials") {
    const rows = [];
    trials.group.forEach((g, t) => {
      const value = trials.status[t] === "diverged" ? data.chance : trials.accuracy[t];
      if (value !== null) rows.push({ group: g, trial: t, value, dead: trials.status[t] === "diverged" });
    });
    rows.sort((a, b) => b.value - a.value);
    return rows;
  }
  const rows = [];
  for (let g = 0; g < count; g++) {
    if (groups.worth[g] !== null) rows.push({ group: g, trial: -1, value: groups.worth[g], dead: groups.n[g] === 0 });
  }
  return rows;
}
function layoutLines() {
  const upright = lines.clientWidth < 600;
  const rows = lineRows();
  const height = upright ? 90 + 74 * (axes.length + 1) : 400;
  const canvas = prepared(lines, height);
  const n = axes.length + 1;
  // From 0 to 1 along an axis, an axis a row of numbers.
  const along = state.order.map((a) => {
    const axis = axes[a], slots = axis.values.length, out = new Float32Array(rows.length);
    if (!axis.listed) {
      const place = (x) => axis.log ? Math.log10(x) : x;
      const low = place(axis.numbers[0]), high = place(axis.numbers[slots - 1]);
      rows.forEach((row, r) => { out[r] = (place(axis.numbers[groups.at[a][row.group]]) - low) / (high - low || 1); });
      return out;
    }
    const counts = new Uint32Array(slots), seen = new Uint32Array(slots);
    for (const row of rows) counts[groups.at[a][row.group]]++;
    rows.forEach((row, r) => {
      const value = groups.at[a][row.group];
      out[r] = (value + 0.2 + 0.6 * (1 - (seen[value]++ + 0.5) / counts[value])) / slots;
    });
    return out;
  });
  let low = Infinity, high = -Infinity;
  for (const row of rows) { low = Math.min(low, row.value); high = Math.max(high, row.value); }
  if (!(low < high)) { low -= 0.01; high += 0.01; }
  along.push(Float32Array.from(rows, (row) => (row.value - low) / (high - low)));
  const frame = upright ? { left: 16, right: canvas.width - 16, top: 62, bottom: height - 30 }
    : { left: 78, right: canvas.width - 52, top: 66, bottom: height - 14 };
  const across = (i) => upright ? frame.top + (frame.bottom - frame.top) * i / (n - 1) : frame.left + (frame.right - frame.left) * i / (n - 1);
  const value = (share) => upright ? frame.left + share * (frame.right - frame.left) : frame.bottom - share * (frame.bottom - frame.top);
  // Lines of one colour together, worst first.
  const buckets = Array.from({ length: BUCKETS + 1 }, () => []);
  rows.forEach((row, r) => buckets[row.dead ? 0 : 1 + Math.min(BUCKETS - 1, Math.max(0, Math.floor(scaled(row.value) * BUCKETS)))].push(r));
  plot = { ...canvas, upright, rows, along, low, high, frame, across, value, buckets, n, grey: null };
}
function trace(context, r) {
  const { along, across, value, upright, n } = plot;
  for (let i = 0; i < n; i++) {
    const x = across(i), y = value(along[i][r]);
    if (upright) { if (i) context.lineTo(y, x); else context.moveTo(y, x); } else if (i) context.lineTo(x, y); else context.moveTo(x, y);
  }
}
const isShown = (row) => isSelected[row.group] && (row.trial < 0 || trialFilter(row.trial));
function drawLines(again = false) {
  if (!lines || !axes.length) return;
  if (!plot || again) layoutLines();
  const { context, width, height, rows, buckets } = plot;
  const begun = performance.now();
  const faint = colour("--grid");
  const left = isFiltered() || state.filter !== "" ? rows.reduce((sum, row) => sum + (isShown(row) ? 1 : 0), 0) : rows.length;
  const opacity = left > 3000 ? 0.35 : left > 300 ? 0.6 : 0.9;
  context.globalAlpha = 1;
  context.clearRect(0, 0, width, height);
  const steps = [];
  if (left < rows.length) {
    steps.push(() => {
      // What is filtered out is one grey picture, drawn once.
      if (!plot.grey || plot.greyInk !== faint) {
        plot.grey = new OffscreenCanvas(context.canvas.width, context.canvas.height);
        plot.greyInk = faint;
        const grey = plot.grey.getContext("2d");
        grey.setTransform(context.getTransform());
        grey.strokeStyle = faint;
        const every = Math.ceil(rows.length / 1500);
        grey.beginPath();
        for (let r = 0; r < rows.length; r += every) trace(grey, r);
        grey.stroke();
      }
      context.save();
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.drawImage(plot.grey, 0, 0);
      context.restore();
    });
  }
  const SOME = 400;
  buckets.forEach((bucket, b) => {
    const shown = left < rows.length ? bucket.filter((r) => isShown(rows[r])) : bucket;
    for (let from = shown.length; from > 0; from -= SOME) {
      steps.push(() => {
        context.globalAlpha = opacity;
        context.strokeStyle = b ? cividis((b - 0.5) / BUCKETS) : colour("--diverged");
        context.lineWidth = left > 300 ? 1 : 1.6;
        context.beginPath();
        for (let at = Math.max(0, from - SOME); at < from; at++) trace(context, shown[at]);
        context.stroke();
      });
    }
  });
  inParts("lines", steps.length, (at) => steps[at](), (isWhole) => {
    drawPinned();
    drawAxes();
    if (isWhole) {
      times.lines = performance.now() - begun;
      root.dataset.linesMs = times.lines.toFixed(1);
    }
  });
}
function drawPinned(extra = -1) {
  const { context, rows } = plot;
  const wanted = [...state.pins.map((g, at) => [g, colour(`--c${(at + 1) % 6}`)]), ...(extra >= 0 ? [[extra, colour("--ink")]] : [])];
  for (const [group, ink] of wanted) {
    rows.forEach((row, r) => {
      if (row.group !== group) return;
      context.globalAlpha = 1;
      context.strokeStyle = ink;
      context.lineWidth = 2.6;
      context.beginPath();
      trace(context, r);
      context.stroke();
    });
  }
}
function accuracyTicks(low, high, most) {
  const span = 100 * (high - low), step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find((s) => span / s <= most) ?? 50;
  const ticks = [];
  for (let t = Math.ceil(100 * low / step) * step; t <= 100 * high + 1e-9; t += step) ticks.push(t);
  return { ticks, digits: step < 1 ? 1 : 0 };
}
function drawAxes() {
  const { context, upright, across, value, n, low, high, frame, width } = plot;
  const ink = colour("--ink"), muted = colour("--muted"), paper = colour("--card");
  context.globalAlpha = 1;
  const label = (text, x, y, align, bold = false) => {
    context.textAlign = align;
    context.font = context.font.replace(/^(bold )?/, bold ? "bold " : "");
    const w = context.measureText(text).width;
    const from = align === "right" ? x - w : align === "center" ? x - w / 2 : x;
    context.globalAlpha = 0.85;
    context.fillStyle = paper;
    context.fillRect(from - 2, y - 7.5, w + 4, 15);
    context.globalAlpha = 1;
    context.fillStyle = ink;
    context.fillText(text, x, y);
  };
  const step = (frame.right - frame.left) / Math.max(1, n - 1);
  for (let i = 0; i < n; i++) {
    const x = across(i), a = state.order[i], axis = axes[a];
    context.strokeStyle = muted;
    context.lineWidth = 1;
    context.beginPath();
    if (upright) { context.moveTo(frame.left, x); context.lineTo(frame.right, x); } else { context.moveTo(x, frame.top); context.lineTo(x, frame.bottom); }
    context.stroke();
    const brush = axis && state.brushes[a];
    if (brush) {
      context.strokeStyle = colour("--c0");
      context.lineWidth = 2;
      const spans = axis.listed ? brush.map((v) => [v / axis.values.length, (v + 1) / axis.values.length]) : [brush.map((number) => shareOf(axis, number))];
      for (const [from, to] of spans) {
        const [p, q] = [value(from), value(to)];
        if (upright) context.strokeRect(Math.min(p, q), x - 9, Math.abs(q - p), 18); else context.strokeRect(x - 9, Math.min(p, q), 18, Math.abs(q - p));
      }
    }
    const name = axis ? axis.name : "accuracy, %";
    if (upright) label(name, frame.left, x - 20, "left", true);
    else if (i === 0) label(fit(context, name, step * 0.75 + 50), 4, frame.top - 20, "left", true);
    else if (i === n - 1) label(name, width - 2, frame.top - 20, "right", true);
    else label(fit(context, name, step - 10), x, frame.top - 20, "center", true);
    if (!axis) {
      const { ticks, digits } = accuracyTicks(low, high, upright ? 5 : 8);
      for (const tick of ticks) {
        const at = value((tick / 100 - low) / (high - low));
        if (upright) label(tick.toFixed(digits), at, x + 13, "center"); else label(tick.toFixed(digits), x + 6, at, "left");
      }
      continue;
    }
    const room = upright ? frame.right - frame.left : frame.bottom - frame.top;
    const widest = upright ? Math.max(...axis.values.map((v) => context.measureText(v).width)) + 12 : 17;
    const values = axis.values.length, most = Math.max(2, Math.floor(room / widest));
    const every = axis.listed ? Math.ceil(values / most) : values - 1 || 1;
    for (let v = 0; v < values; v += every) {
      const at = value(axis.listed ? (v + 0.5) / values : v / (values - 1 || 1));
      const text = upright ? axis.values[v] : fit(context, axis.values[v], i ? step - 16 : 70);
      if (upright) label(text, at, x + 13, axis.listed ? "center" : v ? "right" : "left"); else label(text, x - 6, at, "right");
    }
  }
  // The scale of colours.
  const [from, to] = data.colours.map((share) => percent(share, 1)), end = width - 2;
  const last = context.measureText(`${to} %`).width;
  label(`${to} %`, end, 14, "right");
  for (let x = 0; x < 110; x++) { context.fillStyle = cividis(x / 110); context.fillRect(end - last - 118 + x, 9, 1.5, 10); }
  label(upright ? `${from} %` : `${from} % or less`, end - last - 124, 14, "right");
}
function shareOf(axis, number) {
  const place = (x) => axis.log ? Math.log10(x) : x, last = axis.numbers.length - 1;
  return (place(number) - place(axis.numbers[0])) / (place(axis.numbers[last]) - place(axis.numbers[0]) || 1);
}
function numberAt(axis, share) {
  const last = axis.numbers[axis.numbers.length - 1], first = axis.numbers[0];
  return axis.log ? 10 ** (Math.log10(first) + share * (Math.log10(last) - Math.log10(first))) : first + share * (last - first);
}
/// The axis and the share along it under the pointer.
function under(event) {
  const box = lines.getBoundingClientRect(), { upright, frame, across, n } = plot;
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const [lead, side] = upright ? [y, x] : [x, y];
  let nearest = 0;
  for (let i = 1; i < n; i++) if (Math.abs(across(i) - lead) < Math.abs(across(nearest) - lead)) nearest = i;
  const share = upright ? (side - frame.left) / (frame.right - frame.left) : (frame.bottom - side) / (frame.bottom - frame.top);
  const onName = upright ? lead - across(nearest) < -10 && lead - across(nearest) > -30 && side < frame.left + 140 : y < frame.top - 8;
  return { i: nearest, share, lead, side, distance: Math.abs(across(nearest) - lead), onName };
}
function nearestLine(event) {
  const { i, lead, side } = under(event), { across, along, value, n, rows } = plot;
  const j = lead > across(i) ? Math.min(n - 1, i + 1) : Math.max(0, i - 1);
  const part = i === j ? 0 : (lead - across(i)) / (across(j) - across(i));
  let best = -1, distance = 8;
  rows.forEach((row, r) => {
    if (!isShown(row)) return;
    const at = Math.abs(value(along[i][r]) + part * (value(along[j][r]) - value(along[i][r])) - side);
    if (at < distance) { distance = at; best = r; }
  });
  return best;
}
function startLines() {
  let begun = null;
  lines.addEventListener("pointerdown", (event) => {
    const at = under(event);
    if (at.onName && at.i < axes.length) begun = { ...at, name: true };
    else if (at.distance < 30 && at.i < axes.length) begun = at;
    else begun = null;
    if (begun && event.pointerType !== "touch") lines.setPointerCapture(event.pointerId);
  });
  lines.addEventListener("pointermove", soonWith((event) => {
    if (begun) return;
    const at = under(event);
    lines.style.cursor = at.onName && at.i < axes.length ? "grab" : "crosshair";
    const r = nearestLine(event);
    if (r < 0) { hover(-1); showTip("", event); return; }
    const row = plot.rows[r];
    hover(row.group);
    showTip(row.trial < 0 ? described(row.group) : `trial ${trials.id[row.trial]}, seed ${trials.seed[row.trial]}: ${percent(row.value)} %\n${configuration(row.group)}`, event);
  }));
  lines.addEventListener("pointerup", (event) => {
    if (!begun) {
      const r = nearestLine(event);
      if (r >= 0) togglePin(plot.rows[r].group);
      return;
    }
    const at = under(event), from = begun;
    begun = null;
    if (from.name) {
      if (at.i !== from.i && at.i < axes.length) {
        const [moved] = state.order.splice(from.i, 1);
        state.order.splice(at.i, 0, moved);
        drawLines(true);
        store();
      }
      return;
    }
    const a = state.order[from.i], axis = axes[a];
    const [low, high] = [Math.min(from.share, at.share), Math.max(from.share, at.share)];
    if (axis.listed) {
      const slot = (share) => Math.min(axis.values.length - 1, Math.max(0, Math.floor(share * axis.values.length)));
      const [first, last] = [slot(low), slot(high)];
      if (first === last) toggleValue(a, first); else setBrush(a, Array.from({ length: last - first + 1 }, (_, k) => first + k));
    } else if (high - low < 0.02) {
      setBrush(a, []);
    } else {
      setBrush(a, [numberAt(axis, Math.max(0, low)), numberAt(axis, Math.min(1, high))]);
    }
  });
  lines.addEventListener("pointerleave", (event) => { hover(-1); showTip("", event); });
}
function soonWith(work) {
  let last = null;
  const go = soon(() => work(last));
  return (event) => { last = event; go(); };
}
let hovered = -1;
function hover(group) {
  if (group === hovered) return;
  hovered = group;
  document.querySelectorAll("#rows tr.near").forEach((row) => row.classList.remove("near"));
  if (group >= 0) document.querySelector(`#rows tr[data-group="${group}"]`)?.classList.add("near");
}

// Fields for the keyboard.
function buildBrushFields() {
  const place = byId("brush-fields");
  axes.forEach((axis, a) => {
    const box = element("fieldset", {}, element("legend", { textContent: axis.name }));
    if (axis.listed) {
      axis.values.forEach((text, v) => {
        const input = element("input", { type: "checkbox", checked: true });
        input.dataset.axis = a;
        input.dataset.value = v;
        input.addEventListener("change", () => {
          const on = [...box.querySelectorAll("input")].filter((i) => i.checked).map((i) => Number(i.dataset.value));
          setBrush(a, on.length ? on : axis.values.map((_, k) => k));
        });
        box.append(element("label", {}, input, " " + text));
      });
    } else {
      const ends = ["from", "to"].map((what, end) => {
        const input = element("input", { type: "number", step: "any", placeholder: axis.values[end ? axis.values.length - 1 : 0] });
        input.dataset.axis = a;
        input.dataset.end = end;
        input.addEventListener("change", () => {
          const [low, high] = ends.map((i) => i.value === "" ? null : Number(i.value));
          setBrush(a, low === null && high === null ? [] : [low ?? axis.numbers[0], high ?? axis.numbers[axis.numbers.length - 1]]);
        });
        box.append(element("label", {}, what + " ", input));
        return input;
      });
    }
    place.append(box);
  });
}
function syncBrushFields() {
  for (const input of document.querySelectorAll("#brush-fields input")) {
    const brush = state.brushes[input.dataset.axis];
    if (input.type === "checkbox") input.checked = !brush || brush.includes(Number(input.dataset.value));
    else input.value = brush ? Number(brush[input.dataset.end].toPrecision(4)) : "";
  }
}

// ---- Leaderboard: only the rows in sight are in the page

const ROW = 29;
let table = null, body = null, rows = [], best = null;
const heads = [
  { key: "rank", name: "rank", of: (g) => g + 1 },
  { key: "mean", name: "accuracy, %", of: (g) => groups.mean[g], text: (g) => {
    if (groups.mean[g] === null) return withoutMean(g);
    return percent(groups.mean[g]) + (groups.sd[g] === null ? "" : ` ± ${percent(groups.sd[g])}`);
  } },
  { key: "sd", name: "s.d.", of: (g) => groups.sd[g], text: (g) => groups.sd[g] === null ? "" : percent(groups.sd[g]), hidden: true },
  { key: "n", name: "n", of: (g) => groups.n[g] },
  { key: "low", name: "95 % interval", of: (g) => groups.low[g], text: (g) => groups.low[g] === null ? "" : `${percent(groups.low[g], 1)}–${percent(groups.high[g], 1)}` },
  { key: "ratio", name: "of the best", of: (g) => groups.mean[g], text: (g) => groups.mean[g] === null || best === null ? "" : (groups.mean[g] / best).toFixed(3) },
  ...axes.map((axis, a) => ({ key: axis.name, name: axis.name, of: (g) => groups.at[a][g], text: (g) => axis.values[groups.at[a][g]] })),
  { key: "diverged", name: "diverged", of: (g) => groups.diverged[g], text: (g) => groups.diverged[g] || "" },
  { key: "seconds", name: "seconds", of: (g) => groups.seconds[g], text: (g) => groups.seconds[g] === null ? "" : groups.seconds[g].toFixed(1) },
  { key: "trial", name: "best trial", of: (g) => bestTrial(g), text: (g) => trials.id[bestTrial(g)] },
];
const isEmpty = (head) => head.key === "diverged" && !groups.diverged.some((count) => count);
const shownHeads = heads.filter((head) => !head.hidden && !isEmpty(head));
function bestTrial(g) {
  return trialsOf[g].reduce((a, b) => (trials.accuracy[b] ?? -1) > (trials.accuracy[a] ?? -1) ? b : a);
}
const cell = (head, g) => String(head.text ? head.text(g) : head.of(g));
function sorted() {
  const head = heads.find((h) => h.key === state.sort) ?? heads[0];
  const found = [...selected];
  if (head.key === "rank" && !state.down) return found;
  const order = (a, b) => {
    const [x, y] = [head.of(a), head.of(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a - b; // what is not there comes last
    return (state.down ? y - x : x - y) || a - b;
  };
  return found.sort(order);
}
function buildRows() {
  best = groups.mean.find((mean) => mean !== null) ?? null;
  const head = element("tr");
  for (const column of shownHeads) {
    const button = element("button", { type: "button", textContent: column.name });
    button.addEventListener("click", () => {
      const large = ["mean", "n", "ratio", "low", "diverged"].includes(column.key);
      if (state.sort === column.key) state.down = !state.down; else { state.sort = column.key; state.down = large; }
      drawRows(true);
      store();
    });
    head.append(element("th", { scope: "col", "data-key": column.key }, button));
  }
  body = element("tbody");
  table = element("table", {}, element("thead", {}, head), body);
  byId("rows").append(table);
  byId("rows").addEventListener("scroll", soon(() => drawRows(false)));
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-group]");
    if (row) togglePin(Number(row.dataset.group));
  });
  body.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr[data-group]");
    if (!row) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); togglePin(Number(row.dataset.group)); }
    const next = event.key === "ArrowDown" ? row.nextElementSibling : event.key === "ArrowUp" ? row.previousElementSibling : null;
    if (next?.dataset.group) { event.preventDefault(); next.focus(); }
  });
}
function drawRows(anew) {
  const box = byId("rows");
  if (anew) {
    rows = sorted();
    for (const th of table.querySelectorAll("th")) {
      const on = th.dataset.key === state.sort;
      th.setAttribute("aria-sort", on ? (state.down ? "descending" : "ascending") : "none");
      const column = heads.find((h) => h.key === th.dataset.key);
      th.firstChild.textContent = column.name + (on ? (state.down ? " ▾" : " ▴") : "");
    }
    table.setAttribute("aria-rowcount", rows.length + 1);
    byId("rows-shown").textContent = `${rows.length.toLocaleString("en")} of ${count.toLocaleString("en")} configurations` + (state.pins.length ? `, ${state.pins.length} pinned` : "");
  }
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 10), last = Math.min(rows.length, first + Math.ceil((box.clientHeight || 500) / ROW) + 20);
  const focused = document.activeElement?.closest?.("#rows tr[data-group]")?.dataset.group;
  const space = (height) => {
    const td = element("td", { colSpan: shownHeads.length });
    td.style.height = `${height}px`;
    return element("tr", { className: "space" }, td);
  };
  const made = [];
  if (first > 0) made.push(space(first * ROW));
  for (let at = first; at < last; at++) {
    const g = rows[at];
    const row = element("tr", { tabIndex: 0, "data-group": g, "aria-rowindex": at + 2 });
    if (state.pins.includes(g)) { row.className = "pinned"; row.setAttribute("aria-selected", "true"); }
    for (const head of shownHeads) row.append(element("td", { textContent: cell(head, g) }));
    made.push(row);
  }
  if (last < rows.length) made.push(space((rows.length - last) * ROW));
  if (!rows.length) made.push(element("tr", { className: "space" }, element("td", { colSpan: shownHeads.length, textContent: "The filter leaves nothing." })));
  body.replaceChildren(...made);
  if (focused) body.querySelector(`tr[data-group="${focused}"]`)?.focus({ preventScroll: true });
}
function togglePin(g) {
  state.pins = state.pins.includes(g) ? state.pins.filter((pin) => pin !== g) : [...state.pins, g];
  drawRows(true);
  drawLines();
  drawCloud();
  store();
}
function asCsv() {
  const quoted = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const head = ["rank", "mean_val_accuracy", "sd_val_accuracy", "n", "low", "high", ...axes.map((axis) => axis.name), "diverged", "seconds", "trial"];
  const line = (g) => [g + 1, groups.mean[g], groups.sd[g], groups.n[g], groups.low[g], groups.high[g],
    ...axes.map((axis, a) => axis.values[groups.at[a][g]]), groups.diverged[g], groups.seconds[g], trials.id[bestTrial(g)]];
  return [head, ...rows.map(line)].map((row) => row.map((value) => quoted(String(value ?? ""))).join(",")).join("\n") + "\n";
}
function asMarkdown() {
  const plain = (text) => text.replaceAll("|", "\\|");
  const lines = [shownHeads.map((head) => plain(head.name)), shownHeads.map(() => "--:"), ...rows.map((g) => shownHeads.map((head) => plain(cell(head, g))))];
  return lines.map((line) => `| ${line.join(" | ")} |`).join("\n") + "\n";
}

// ---- Copying

async function copy(text, button) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", { value: text, className: "copying" });
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
  }
  const before = button.dataset.before ?? button.textContent;
  button.dataset.before = before;
  button.textContent = done ? "Copied" : "Select and copy by hand";
  root.dataset.copied = text;
  setTimeout(() => { button.textContent = before; }, 1500);
}

// ---- Slices: what the filter leaves, over the drawn ones; a click on a value filters

function drawOverlays() {
  for (const svg of document.querySelectorAll("svg[data-scale]")) {
    svg.querySelector(".overlay")?.remove();
    if (!isFiltered()) continue;
    const [yLow, yHigh, low, high] = svg.dataset.scale.split(" ").map(Number);
    const layer = document.createElementNS("http://www.w3.org/2000/svg", "g");
    layer.setAttribute("class", "overlay");
    const areas = svg.querySelectorAll(".area");
    if (!areas.length) continue;
    const a = Number(areas[0].dataset.axis), found = axes[a].values.map(() => ({ sum: 0, n: 0, top: -1 }));
    for (const g of selected) {
      const worth = groups.worth[g];
      if (worth === null) continue;
      const of = found[groups.at[a][g]];
      of.sum += worth;
      of.n++;
      of.top = Math.max(of.top, worth);
    }
    for (const area of areas) {
      const { sum, n, top } = found[Number(area.dataset.value)];
      if (!n) continue;
      const x = area.x.baseVal.value + area.width.baseVal.value / 2;
      for (const [share, full] of [[sum / n, false], [top, true]]) {
        const y = yLow + (yHigh - yLow) * Math.min(1, Math.max(0, (share - low) / (high - low)));
        const mark = document.createElementNS("http://www.w3.org/2000/svg", "path");
        mark.setAttribute("d", `M${x} ${y - 6}l6 6l-6 6l-6 -6z`);
        mark.setAttribute("class", full ? "text s-paper" : "paper s-text");
        mark.setAttribute("stroke-width", "1.5");
        layer.append(mark);
      }
    }
    svg.append(layer);
  }
}
function markAreas() {
  for (const area of document.querySelectorAll(".area")) {
    const brush = state.brushes[area.dataset.axis];
    area.classList.toggle("on", Boolean(brush?.includes(Number(area.dataset.value))));
  }
}
function startAreas() {
  for (const area of document.querySelectorAll(".area")) {
    const text = area.querySelector("title").textContent;
    area.addEventListener("click", () => toggleValue(Number(area.dataset.axis), Number(area.dataset.value)));
    area.setAttribute("tabindex", "0");
    area.setAttribute("role", "button");
    area.setAttribute("aria-label", text);
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); area.dispatchEvent(new MouseEvent("click")); }
    });
  }
}

// ---- Pair heat map

function drawPair() {
  const place = byId("pair");
  if (!place || !state.pair) return;
  const [a, b] = state.pair, [down, across] = [axes[a], axes[b]];
  if (a === b) { place.replaceChildren(element("p", { className: "caption", textContent: "Choose two different hyperparameters." })); return; }
  const cells = new Map();
  for (const g of selected) {
    if (groups.worth[g] === null) continue;
    const key = groups.at[a][g] * across.values.length + groups.at[b][g];
    const found = cells.get(key) ?? { sum: 0, n: 0, top: 0, alive: false };
    found.sum += groups.worth[g];
    found.n++;
    found.top = Math.max(found.top, groups.worth[g]);
    found.alive ||= groups.n[g] > 0;
    cells.set(key, found);
  }
  const head = element("tr", {}, element("th", { textContent: `${down.name} ↓  ${across.name} →` }), ...across.values.map((text) => element("th", { scope: "col", textContent: text })));
  const lines = down.values.map((text, r) => {
    const line = element("tr", {}, element("th", { scope: "row", textContent: text }));
    across.values.forEach((other, c) => {
      const found = cells.get(r * across.values.length + c), td = element("td", { tabIndex: 0 });
      if (!found) {
        td.className = "none";
        td.title = "no result";
      } else if (!found.alive) {
        td.className = "dead";
        td.textContent = "×";
        td.title = "all diverged";
      } else {
        const share = state.measure === "best" ? found.top : found.sum / found.n, value = scaled(share);
        td.textContent = percent(share, 1);
        td.style.background = cividis(value);
        td.style.color = value > 0.52 ? "#000" : "#fff";
        td.title = `${down.name} ${text}, ${across.name} ${other}: mean ${percent(found.sum / found.n)} %, best ${percent(found.top)} %, ${found.n} configurations`;
      }
      const choose = () => { if (found) { state.brushes[a] = [r]; setBrush(b, [c]); } };
      td.addEventListener("click", choose);
      td.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(); });
      line.append(td);
    });
    return line;
  });
  place.replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines)));
}
function buildPair() {
  const selects = ["pair-a", "pair-b"].map(byId);
  if (!selects[0]) return;
  const listed = axes.map((axis, a) => a).filter((a) => axes[a].listed);
  for (const [end, chosen] of selects.entries()) {
    for (const a of listed) chosen.append(element("option", { value: a, textContent: axes[a].name }));
    chosen.addEventListener("change", () => { state.pair[end] = Number(chosen.value); drawPair(); store(); });
  }
  byId("measure").addEventListener("change", (event) => { state.measure = event.target.value; drawPair(); store(); });
}

// ---- Learning curves: all that the filter leaves as a faint cloud, the best and the pinned on top

const cloud = byId("cloud");
let curves = null;
async function readCurves() {
  const bytes = Uint8Array.from(atob(data.curves), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const n = trials.id.length, heads = new Uint32Array(buffer, 0, 2 * n), from = new Uint32Array(n + 1);
  for (let t = 0; t < n; t++) from[t + 1] = from[t] + heads[2 * t];
  const points = from[n], start = 8 * n;
  const shares = (at) => new Uint16Array(buffer, at, points);
  const numbers = (at) => new Float32Array(buffer.slice(at, at + 4 * points));
  curves = { from, epoch: (t) => heads[2 * t + 1], val: shares(start), train: shares(start + 2 * points), loss: numbers(start + 4 * points),
    val_loss: buffer.byteLength >= start + 12 * points ? numbers(start + 8 * points) : null };
  data.curves = "";
}
function drawCloud() {
  if (!cloud || !curves) return;
  const { context, width, height } = prepared(cloud, 360);
  const isShare = state.metric === "val" || state.metric === "train";
  const numbers = curves[state.metric] ?? curves.val, scale = isShare ? 100 / 65535 : 1;
  const shown = [];
  for (const g of selected) for (const t of trialsOf[g]) if (trialFilter(t) && curves.from[t + 1] > curves.from[t]) shown.push(t);
  const x = (t, at) => state.by === "epoch" ? at : trials.seconds[t] * Math.min(1, at * curves.epoch(t) / Math.max(1, trials.iterations[t]));
  let most = 0;
  const sample = [];
  const every = Math.ceil(shown.length / 2000);
  shown.forEach((t, k) => {
    const n = curves.from[t + 1] - curves.from[t];
    most = Math.max(most, x(t, n - 1));
    if (k % every === 0) for (let at = curves.from[t]; at < curves.from[t + 1]; at++) if (Number.isFinite(numbers[at])) sample.push(numbers[at] * scale);
  });
  sample.sort((a, b) => a - b);
  let low = sample[0] ?? 0, high = sample[Math.floor((sample.length - 1) * (isShare ? 1 : 0.98))] ?? 1;
  if (!(low < high)) { low -= 0.5; high += 0.5; }
  most ||= 1;
  const frame = { left: 58, right: width - 16, top: 10, bottom: height - 44 };
  const px = (value) => frame.left + (frame.right - frame.left) * value / most;
  const py = (value) => Math.min(frame.bottom, Math.max(frame.top, frame.bottom - (frame.bottom - frame.top) * (value - low) / (high - low)));
  const steps = (from, to, wanted) => {
    const raw = (to - from) / wanted, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find((s) => s * power >= raw) * power;
    const found = [];
    for (let k = Math.ceil(from / step); k * step <= to + 1e-9; k++) found.push(Number((k * step).toPrecision(6)));
    return found;
  };
  context.fillStyle = colour("--muted");
  context.strokeStyle = colour("--grid");
  context.textAlign = "right";
  for (const tick of steps(low, high, 6)) {
    context.beginPath();
    context.moveTo(frame.left, py(tick));
    context.lineTo(frame.right, py(tick));
    context.stroke();
    context.fillText(tick, frame.left - 6, py(tick));
  }
  context.textAlign = "center";
  for (const tick of steps(0, most, 8).filter((t) => state.by === "seconds" || Number.isInteger(t))) context.fillText(tick, px(tick), frame.bottom + 13);
  context.fillText(state.by === "epoch" ? "epoch" : "seconds", (frame.left + frame.right) / 2, height - 10);
  context.save();
  context.translate(12, (frame.top + frame.bottom) / 2);
  context.rotate(-Math.PI / 2);
  const choice = byId("metric").selectedOptions[0];
  context.fillText((choice ? choice.textContent : "") + (isShare ? ", %" : ""), 0, 0);
  context.restore();
  const draw = (t) => {
    const start = curves.from[t];
    for (let at = start; at < curves.from[t + 1]; at++) {
      const value = numbers[at] * scale;
      if (!Number.isFinite(value)) break;
      const [u, v] = [px(x(t, at - start)), py(value)];
      if (at === start) context.moveTo(u, v); else context.lineTo(u, v);
    }
  };
  const SOME = 300, parts = Math.ceil(shown.length / SOME);
  const faint = colour("--c0");
  const on = [...(selected.length && groups.mean[selected[0]] !== null ? [[selected[0], "--c1", "best of what is shown"]] : []),
    ...state.pins.map((g, at) => [g, `--c${(at + 2) % 6}`, "pinned"])];
  inParts("cloud", parts, (part) => {
    context.globalAlpha = shown.length > 3000 ? 0.05 : shown.length > 1000 ? 0.1 : shown.length > 100 ? 0.25 : 0.4;
    context.strokeStyle = faint;
    context.lineWidth = 1;
    context.beginPath();
    for (let k = part * SOME; k < Math.min(shown.length, (part + 1) * SOME); k++) draw(shown[k]);
    context.stroke();
  }, (isWhole) => {
    if (!isWhole) return;
    context.globalAlpha = 1;
    context.lineWidth = 2.2;
    for (const [g, ink] of on) {
      context.strokeStyle = colour(ink);
      context.beginPath();
      trialsOf[g].forEach(draw);
      context.stroke();
    }
  });
  byId("cloud-legend").replaceChildren(...on.map(([g, ink, what]) => {
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = colour(ink);
    return element("li", {}, swatch, `${what}: rank ${g + 1}, ${configuration(g).replaceAll("\n", ", ")}`);
  }), element("li", { textContent: `${shown.length.toLocaleString("en")} curves` }));
}

// ---- Theme, start

const THEMES = { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" };
function applyTheme() {
  if (state.theme === "auto") delete root.dataset.theme; else root.dataset.theme = state.theme;
  byId("theme").textContent = THEMES[state.theme] ?? THEMES.auto;
}
function redraw() {
  applyTheme();
  drawLines(true);
  drawCloud();
}
function syncControls() {
  byId("filter").value = state.filter;
  const top = byId("top");
  if (top) { top.value = state.top; byId("top-shown").textContent = `${state.top} %`; }
  for (const [id, key] of [["mode", "mode"], ["measure", "measure"], ["metric", "metric"], ["by", "by"]]) if (byId(id)) byId(id).value = state[key];
  if (!state.pair) state.pair = data.strongest ? [...data.strongest] : axes.length > 1 ? [0, 1] : null;
  if (state.pair && byId("pair-a")) { byId("pair-a").value = state.pair[0]; byId("pair-b").value = state.pair[1]; }
  syncBrushFields();
}
function start() {
  defaults.pair = data.strongest ? [...data.strongest] : axes.length > 1 ? [0, 1] : null;
  restore();
  if (!state.pair) state.pair = defaults.pair && [...defaults.pair];
  buildRows();
  buildPair();
  if (lines) { buildBrushFields(); startLines(); }
  startAreas();
  syncControls();
  applyTheme();
  refilter();
  // Looks up what a person types when they pause.
  let pause = 0;
  byId("filter").addEventListener("input", (event) => {
    clearTimeout(pause);
    pause = setTimeout(() => { state.filter = event.target.value; refilter(); }, 120);
  });
  byId("reset").addEventListener("click", () => {
    const { theme, pins, order, pair, mode } = state;
    Object.assign(state, structuredClone(defaults), { theme, pins, order, pair, mode });
    syncControls();
    refilter();
  });
  byId("theme").addEventListener("click", () => {
    const names = Object.keys(THEMES);
    state.theme = names[(names.indexOf(state.theme) + 1) % names.length];
    redraw();
    store();
  });
  byId("top")?.addEventListener("input", soon(() => {
    state.top = Number(byId("top").value);
    byId("top-shown").textContent = `${state.top} %`;
    refilter();
  }));
  byId("mode")?.addEventListener("change", (event) => { state.mode = event.target.value; drawLines(true); store(); });
  for (const key of ["metric", "by"]) byId(key)?.addEventListener("change", (event) => { state[key] = event.target.value; drawCloud(); store(); });
  byId("copy-csv").addEventListener("click", (event) => copy(asCsv(), event.currentTarget));
  byId("copy-markdown").addEventListener("click", (event) => copy(asMarkdown(), event.currentTarget));
  byId("unpin").addEventListener("click", () => { state.pins = []; drawRows(true); drawLines(); drawCloud(); store(); });
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(byId(button.dataset.copy).textContent, button));
  }
  // A menu entry scrolls; the address keeps the view.
  for (const link of document.querySelectorAll("nav a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const target = document.querySelector(link.getAttribute("href"));
      target.scrollIntoView();
      target.setAttribute("tabindex", "-1");
      target.focus({ preventScroll: true });
    });
  }
  addEventListener("hashchange", () => { restore(); syncControls(); applyTheme(); drawLines(true); refilter(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = innerWidth;
  addEventListener("resize", soon(() => { if (innerWidth !== width) { width = innerWidth; drawLines(true); drawCloud(); } }));
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((box) => { box.open = true; }));
  root.dataset.startMs = (performance.now() - times.started).toFixed(1);
  if (typeof DecompressionStream === "function") {
    readCurves().then(drawCloud).catch((error) => console.error(error)).finally(() => { root.dataset.ready = "true"; });
  } else {
    byId("curves")?.querySelectorAll(".static").forEach((drawn) => drawn.classList.remove("static"));
    root.dataset.ready = "true";
  }
}
start();
})();
