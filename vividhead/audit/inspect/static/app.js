// The inspector's page. Texts from the dataset only ever become text nodes, never markup.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const FPS = 25;
const STEPS_PER_PX = 16;
const UNKNOWN = -32768;
const LIPS = [13, 14, 61, 291, 78, 308, 0, 17];
const byId = (id) => document.getElementById(id);
const state = { about: null, rows: [], total: 0, offset: 0, limit: 50, clip: null, points: null };
let latestList = 0;
let latestClip = 0;
let latestCompare = 0;

function make(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function draw(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function said(seconds) {
  if (seconds < 600) return `${seconds.toFixed(1)} s`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toLocaleString("en", { maximumFractionDigits: 1 })} h`;
}

function number(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
}

function fileOf(uri) {
  return uri.split("/").pop() || uri;
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  let text = `${answer.status} ${answer.statusText}`;
  try {
    const body = await answer.clone().json();
    text = body.error || body.detail || text;
  } catch {
    text = (await answer.text()) || text;
  }
  throw new Error(text);
}

const json = async (path, options) => (await ask(path, options)).json();
const send = (path, body) => json(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

function shown(work) {
  return async (...given) => {
    try {
      byId("fault").hidden = true;
      await work(...given);
    } catch (fault) {
      byId("fault").textContent = fault.message;
      byId("fault").hidden = false;
    }
  };
}

// -- what is asked stands in the address, so that it can be sent to others

function asked() {
  const out = {};
  for (const [name, value] of new FormData(byId("asked"))) if (value !== "") out[name] = value;
  return out;
}

function remember() {
  const words = new URLSearchParams(asked());
  if (state.offset) words.set("offset", state.offset);
  if (state.clip) words.set("clip", state.clip.clip_id);
  if (!byId("compare-view").hidden) words.set("view", "compare");
  history.replaceState(null, "", `#${words}`);
}

function recall() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const field of byId("asked").elements) {
    if (!field.name) continue;
    const wanted = words.get(field.name) || (field.name === "state" ? "all" : field.name === "sort" ? "clip_id" : "");
    field.value = wanted;
  }
  state.offset = Number(words.get("offset")) || 0;
  return words;
}

// -- the list

const list = shown(async () => {
  const mine = ++latestList;
  const words = new URLSearchParams({ ...asked(), offset: state.offset, limit: state.limit });
  const page = await json(`/api/clips?${words}`);
  if (mine !== latestList) return;
  state.rows = page.rows;
  state.total = page.total;
  const isField = byId("asked").elements.sort.value in state.about.fields;
  byId("value-head").textContent = isField ? byId("asked").elements.sort.value.split(".")[1] : "";
  byId("found").textContent = `${page.total.toLocaleString("en")} clips, ${said(page.seconds)}`;
  byId("rows").replaceChildren(...page.rows.map((row) => rowOf(row, isField)));
  const last = Math.min(state.offset + page.rows.length, page.total);
  byId("page").textContent = page.total ? `${(state.offset + 1).toLocaleString("en")} – ${last.toLocaleString("en")}` : "none";
  byId("back").disabled = state.offset === 0;
  byId("on").disabled = last >= page.total;
  mark();
  remember();
});

function rowOf(row, isField) {
  const line = make("tr", null, { "data-clip": row.clip_id });
  const open = make("button", row.clip_id.slice(0, 8), { type: "button", title: row.clip_id });
  const name = make("td");
  name.append(open);
  const outcome = make("td");
  outcome.append(make("span", row.kept ? "kept" : row.first || "rejected", { class: row.kept ? "kept" : "lost" }));
  if (row.label) outcome.append(make("span", ` ${row.label}`, { class: `mark ${row.label}` }));
  line.append(name, make("td", fileOf(row.uri), { title: row.uri }), make("td", row.duration_s.toFixed(1), { class: "n" }), outcome);
  line.append(make("td", isField ? number(row.value) : "", { class: "n" }));
  line.addEventListener("click", () => choose(row.clip_id));
  return line;
}

function mark() {
  for (const line of byId("rows").children) line.setAttribute("aria-current", String(state.clip !== null && line.dataset.clip === state.clip.clip_id));
}

function turn(pages) {
  state.offset = Math.max(0, state.offset + pages * state.limit);
  return list();
}

async function step(by) {
  const at = state.rows.findIndex((row) => state.clip && row.clip_id === state.clip.clip_id);
  const next = state.rows[at + by];
  if (next) return choose(next.clip_id);
  if (at >= 0 && by > 0 && state.offset + state.rows.length < state.total) {
    await turn(1);
    if (state.rows.length) return choose(state.rows[0].clip_id);
  }
}

// -- one clip

const choose = shown(async (clipId) => {
  const mine = ++latestClip;
  const found = await json(`/api/clips/${encodeURIComponent(clipId)}`);
  if (mine !== latestClip) return;
  state.clip = found.clip;
  state.points = null;
  byId("clip").hidden = false;
  describe(found.clip);
  timeline(found.clip, found.siblings);
  if (getComputedStyle(byId("clip")).position === "static") byId("clip").scrollIntoView({ block: "start" });
  mark();
  remember();
  const base = `/api/clips/${encodeURIComponent(clipId)}`;
  byId("curves").replaceChildren(make("p", "reading sound and picture …", { class: "quiet" }));
  await Promise.all([play(base, mine), pointsOf(base, mine), curves(base, mine)]);
});

function describe(clip) {
  byId("clip-title").textContent = `${clip.packed && clip.kept ? "Kept" : "Rejected"}: ${fileOf(clip.uri)}`;
  byId("clip-about").textContent = `${clip.clip_id} · ${clip.start_s.toFixed(2)} – ${clip.end_s.toFixed(2)} s in the source`;
  const skipped = clip.reasons.filter((r) => r.code.endsWith(":skipped"));
  const reasons = clip.reasons.filter((r) => !r.code.endsWith(":skipped")).map((r) => {
    const value = r.value === null ? r.detail : `${number(r.value)}, limit ${number(r.limit)}`;
    return make("li", value ? `${r.code}: ${value}` : r.code);
  });
  if (skipped.length) reasons.push(make("li", `${skipped.length} more rules not judged: their scores were skipped after that`, { class: "quiet" }));
  if (clip.failure) reasons.push(make("li", clip.failure));
  byId("reasons").replaceChildren(...(reasons.length ? reasons : [make("li", "none")]));
  byId("scores").replaceChildren(...Object.entries(state.about.fields).map(([name, about]) => scoreRow(clip, name, about)));
  const source = clip.source;
  const known = ["uri", "given_id", "licence", "consent", "language", "duration_s", "width_px", "height_px", "fps", "video_codec", "audio_codec", "audio_rate_hz"];
  const pairs = [...known.map((name) => [name, source[name]]), ...Object.entries(source.attributes)];
  byId("source").replaceChildren(...pairs.filter(([, value]) => value !== null && value !== undefined).flatMap(([name, value]) => [make("dt", name), make("dd", String(value))]));
  const about = clip.label ? JSON.parse(clip.about) : null;
  byId("judged").textContent = about ? `${clip.label}${about.reason ? `: ${about.reason}` : ""} – ${about.by || "nameless"}, ${about.at_utc.slice(0, 16).replace("T", " ")} UTC` : "not labelled";
}

function ruleOf(name) {
  return state.about.own.rules.find((rule) => rule.id === name);
}

function scoreRow(clip, name, about) {
  const rule = ruleOf(name);
  const status = clip[`${name.split(".")[0]}.status`];
  const value = clip[name] === null ? status === "measured" ? "unknown" : status || "not looked at" : number(clip[name]);
  const broken = clip.reasons.some((r) => r.field === name && !r.code.endsWith(":skipped"));
  const line = make("tr");
  line.append(make("th", name, { scope: "row" }), make("td", broken ? `${value} ✗` : value, { class: `n${broken ? " lost" : ""}` }), make("td", about.unit));
  const limits = rule ? [rule.min === null ? "" : `≥ ${number(rule.min)}`, rule.max === null ? "" : `≤ ${number(rule.max)}`].filter(Boolean).join(", ") : "";
  line.append(make("td", limits), make("td", about.meaning, { class: "meaning" }));
  return line;
}

async function play(base, mine) {
  const video = byId("video");
  const note = byId("no-video");
  video.hidden = true;
  note.hidden = false;
  note.textContent = state.clip.packed ? "reading the clip …" : "cutting the clip from its source …";
  video.removeAttribute("src");
  try {
    await ask(`${base}/video`, { headers: { Range: "bytes=0-0" } });
    if (mine !== latestClip) return;
    video.src = `${base}/video`;
    video.hidden = false;
    note.hidden = true;
  } catch (fault) {
    if (mine === latestClip) note.textContent = `It cannot be played: ${fault.message}`;
  }
}

async function pointsOf(base, mine) {
  byId("points-note").textContent = state.clip.packed ? "" : "(stored for kept clips only)";
  if (!state.clip.packed) return;
  try {
    const bytes = await (await ask(`${base}/landmarks`)).arrayBuffer();
    if (mine === latestClip) state.points = new Int16Array(bytes);
  } catch (fault) {
    if (mine === latestClip) byId("points-note").textContent = fault.message;
  }
}

async function curves(base, mine) {
  const box = byId("curves");
  try {
    const found = await json(`${base}/curves`);
    if (mine !== latestClip) return;
    box.replaceChildren(curve("loudness, dB of full scale", found.loudness_db));
    if (found.opening) box.append(curve("mouth opening ÷ eye distance", found.opening));
  } catch (fault) {
    if (mine === latestClip) box.replaceChildren(make("p", fault.message, { class: "quiet" }));
  }
}

function curve(name, values) {
  const known = values.filter((v) => v !== null);
  const low = Math.min(...known);
  const high = Math.max(...known);
  const span = high - low || 1;
  const svg = draw("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${number(low)} to ${number(high)}` });
  let path = "";
  let open = false;
  values.forEach((value, at) => {
    if (value === null) {
      open = false;
      return;
    }
    path += `${open ? "L" : "M"}${((at + 0.5) / values.length * 1000).toFixed(1)} ${(96 - (value - low) / span * 92).toFixed(1)}`;
    open = true;
  });
  svg.append(draw("path", { d: path, class: "curve" }), draw("line", { x1: 0, x2: 0, y1: 0, y2: 100, class: "now" }));
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    byId("video").currentTime = (event.clientX - box.left) / box.width * values.length / FPS;
  });
  const part = make("div");
  part.append(make("p", `${name} (${number(low)} … ${number(high)})`, { class: "quiet" }), svg);
  return part;
}

function follow() {
  const video = byId("video");
  const canvas = byId("overlay");
  const pen = canvas.getContext("2d");
  const side = canvas.clientWidth * devicePixelRatio;
  if (canvas.width !== Math.round(side)) canvas.width = canvas.height = Math.round(side);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (state.clip) {
    const seconds = state.clip.end_s - state.clip.start_s;
    const x = String(Math.min(1, video.currentTime / seconds) * 1000);
    for (const now of document.querySelectorAll("#curves .now")) {
      now.setAttribute("x1", x);
      now.setAttribute("x2", x);
    }
    if (state.points && byId("points").checked && !video.hidden && video.videoWidth) dots(pen, canvas.width / (video.videoWidth * STEPS_PER_PX), video.currentTime);
  }
  requestAnimationFrame(follow);
}

function dots(pen, scale, time) {
  const per = 478 * 2;
  const frames = state.points.length / per;
  const start = Math.min(frames - 1, Math.floor(time * FPS + 0.01)) * per;
  if (state.points[start] === UNKNOWN) return;
  const size = Math.max(1.5, pen.canvas.width / 170);
  for (let at = 0; at < 478; at += 1) {
    pen.fillStyle = LIPS.includes(at) ? "#e8864a" : "#56b4e9";
    pen.fillRect(state.points[start + 2 * at] * scale - size / 2, state.points[start + 2 * at + 1] * scale - size / 2, size, size);
  }
}

// -- every score of all clips of the source, over the source's time

function timeline(clip, siblings) {
  const left = 340;
  const wide = 770;
  const tall = 26;
  const end = Math.max(clip.source.duration_s || 0, ...siblings.map((s) => s.end_s), 1);
  const names = Object.keys(state.about.fields);
  const svg = draw("svg", { viewBox: `0 0 ${left + wide + 10} ${names.length * tall + 26}`, role: "group", "aria-label": "Scores along the source" });
  const defs = draw("defs", {});
  const pattern = draw("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(draw("line", { x1: 0, x2: 0, y1: 0, y2: 5, class: "hatch" }));
  defs.append(pattern);
  svg.append(defs);
  names.forEach((name, row) => {
    const base = (row + 1) * tall;
    const rule = ruleOf(name);
    const limits = rule ? [rule.min, rule.max].filter((limit) => limit !== null) : [];
    const points = [...siblings.map((s) => s[name]).filter((v) => v !== null), ...limits];
    const low = Math.min(...points, 0);
    const high = Math.max(...points, low + 1e-9);
    const height = (value) => 3 + (value - low) / (high - low) * (tall - 8);
    svg.append(draw("text", { x: 0, y: base - 6 }, name), draw("line", { x1: left, x2: left + wide, y1: base, y2: base, class: "axis" }));
    for (const sibling of siblings) {
      if (sibling[name] === null) continue;
      const kept = sibling.kept && sibling.packed;
      const at = { x: left + sibling.start_s / end * wide, y: base - height(sibling[name]), width: Math.max(2, (sibling.end_s - sibling.start_s) / end * wide - 1), height: height(sibling[name]) };
      const box = draw("rect", { ...at, class: kept ? "box" : "box rejected" });
      box.append(draw("title", {}, `${name} = ${number(sibling[name])}, ${sibling.start_s.toFixed(1)} s, ${kept ? "kept" : "rejected"}`));
      box.addEventListener("click", () => choose(sibling.clip_id));
      svg.append(box);
      if (!kept) svg.append(draw("rect", { ...at, fill: "url(#hatch)", "pointer-events": "none" }));
      if (sibling.clip_id === clip.clip_id) svg.append(draw("rect", { ...at, class: "chosen", "pointer-events": "none" }));
    }
    for (const limit of limits) svg.append(draw("line", { x1: left, x2: left + wide, y1: base - height(limit), y2: base - height(limit), class: "limit" }));
  });
  svg.append(draw("text", { x: left, y: names.length * tall + 20 }, "0 s"), draw("text", { x: left + wide, y: names.length * tall + 20, class: "last" }, said(end)));
  byId("timeline").replaceChildren(svg);
}

// -- labels

const judge = shown(async (label) => {
  if (!state.clip || !state.about.can_label) return;
  const form = byId("judge").elements;
  const made = await send("/api/labels", { clip_id: state.clip.clip_id, label, reason: form.reason.value, by: form.by.value });
  state.clip = { ...state.clip, label: made.label, about: JSON.stringify(made) };
  form.reason.value = "";
  describe(state.clip);
  await list();
});

// -- two sets of limits

const sides = { a: null, b: null };

const load = shown(async (side) => {
  sides[side] = await json(`/api/filters?${new URLSearchParams({ name: byId(`filters-${side}`).value })}`);
  rules();
  await compare();
});

function rules() {
  if (!sides.a || !sides.b) return;
  const ids = [...new Set([...sides.a.rules, ...sides.b.rules].map((rule) => rule.id))];
  byId("rules").replaceChildren(...ids.map((id) => {
    const a = sides.a.rules.find((rule) => rule.id === id);
    const b = sides.b.rules.find((rule) => rule.id === id);
    const line = make("tr");
    line.append(make("th", id, { scope: "row", title: (b || a).why }), make("td", a ? number(a.min) : "no rule", { class: "n" }), make("td", a ? number(a.max) : "", { class: "n" }));
    for (const end of ["min", "max"]) {
      const cell = make("td");
      const box = make("input", null, { type: "number", step: "any", "aria-label": `${id}, B ${end === "min" ? "from" : "to"}` });
      box.value = b && b[end] !== null ? b[end] : "";
      box.addEventListener("input", () => change(id, end, box.value === "" ? null : box.valueAsNumber));
      cell.append(box);
      line.append(cell);
    }
    line.append(make("td", b ? b.unmeasured : ""), make("td", "", { class: "n", "data-alone": id }));
    return line;
  }));
}

let waiting = 0;
function change(id, end, value) {
  if (Number.isNaN(value)) return;
  let rule = sides.b.rules.find((r) => r.id === id);
  if (!rule) {
    rule = { id, min: null, max: null, unmeasured: "reject", hard: false, why: "" };
    sides.b.rules.push(rule);
  }
  rule[end] = value;
  clearTimeout(waiting);
  waiting = setTimeout(compare, 150);
}

const limitsOf = (side) => sides[side].rules.map(({ id, min, max, unmeasured }) => ({ id, min, max, unmeasured }));

const compare = shown(async () => {
  if (!sides.a || !sides.b) return;
  const mine = ++latestCompare;
  const found = await send("/api/compare", { a: limitsOf("a"), b: limitsOf("b") });
  if (mine !== latestCompare) return;
  const tiles = [["A keeps", found.a], ["B keeps", found.b], ["lost with B", found.lost], ["gained with B", found.gained]];
  byId("compared").replaceChildren(...tiles.map(([name, amount]) => {
    const tile = make("div");
    tile.append(make("dt", name), make("dd", `${amount.clips.toLocaleString("en")} clips`), make("dd", said(amount.seconds)));
    return tile;
  }));
  for (const cell of document.querySelectorAll("[data-alone]")) {
    const alone = found.alone[cell.dataset.alone];
    cell.textContent = alone ? `${alone.clips.toLocaleString("en")} clips, ${said(alone.seconds)}` : "";
  }
});

function save() {
  const quoted = (text) => JSON.stringify(text || "chosen in the inspector");
  const lines = sides.b.rules.filter((rule) => rule.min !== null || rule.max !== null).map((rule) => {
    const parts = [];
    if (rule.min !== null) parts.push(`min = ${rule.min}`);
    if (rule.max !== null) parts.push(`max = ${rule.max}`);
    if (rule.hard) parts.push("hard = true");
    parts.push(`unmeasured = "${rule.unmeasured}"`, `why = ${quoted(rule.why)}`);
    return `${rule.id} = { ${parts.join(", ")} }`;
  });
  const link = make("a", "", { download: "filters.toml", href: `data:application/toml;charset=utf-8,${encodeURIComponent(`${lines.join("\n")}\n`)}` });
  link.click();
}

function view(name) {
  for (const other of ["clips", "compare"]) {
    byId(`${other}-view`).hidden = other !== name;
    byId(`show-${other}`).setAttribute("aria-pressed", String(other === name));
  }
  if (name === "compare" && !sides.a) {
    load("a");
    load("b");
  }
  remember();
}

// -- begin

function options(select, names) {
  select.append(...names.map((name) => make("option", name, { value: name })));
}

function listen() {
  let typing = 0;
  byId("asked").addEventListener("submit", (event) => event.preventDefault());
  byId("asked").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      state.offset = 0;
      list();
    }, 200);
  });
  byId("back").addEventListener("click", () => turn(-1));
  byId("on").addEventListener("click", () => turn(1));
  byId("judge").addEventListener("submit", (event) => {
    event.preventDefault();
    judge(event.submitter ? event.submitter.value : "good");
  });
  byId("show-clips").addEventListener("click", () => view("clips"));
  byId("show-compare").addEventListener("click", () => view("compare"));
  byId("filters-a").addEventListener("change", () => load("a"));
  byId("filters-b").addEventListener("change", () => load("b"));
  byId("save").addEventListener("click", save);
  window.addEventListener("hashchange", begin);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, button, video")) return;
    const keys = { j: () => step(1), k: () => step(-1), g: () => judge("good"), b: () => judge("bad") };
    if (event.key === " " && state.clip) {
      event.preventDefault();
      const video = byId("video");
      video.paused ? video.play() : video.pause();
    } else if (keys[event.key] && byId("compare-view").hidden) keys[event.key]();
  });
}

const begin = shown(async () => {
  const words = recall();
  view(words.get("view") === "compare" ? "compare" : "clips");
  const clip = words.get("clip");
  await list();
  if (clip && (!state.clip || state.clip.clip_id !== clip)) await choose(clip);
});

shown(async () => {
  const about = await json("/api/dataset");
  state.about = about;
  byId("where").textContent = about.where;
  document.title = `${fileOf(about.where)} – VividHead inspector`;
  byId("sums").textContent = `${about.clips.toLocaleString("en")} candidates (${said(about.seconds)}), ${about.kept.toLocaleString("en")} kept`;
  const form = byId("asked").elements;
  form.code.append(...about.codes.map((code) => make("option", `${code.code} (${code.clips.toLocaleString("en")})`, { value: code.code })));
  options(form.sort, ["clip_id", "uri", "start_s", "duration_s", "first", ...Object.keys(about.fields)]);
  options(form.field, Object.keys(about.fields));
  for (const side of ["a", "b"]) options(byId(`filters-${side}`), about.filters);
  for (const part of byId("judge").elements) part.disabled = !about.can_label;
  listen();
  requestAnimationFrame(follow);
  await begin();
})();
