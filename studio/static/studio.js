// The studio: a picture, its painting, and what a person does to it. The server keeps all state but what is on the screen.
import { Connection } from "./connection.js";
import { Easel } from "./easel.js";
import { SettingsPanel, mark, roving } from "./settings.js";

const $ = (id) => document.getElementById(id);
const PLAY_SECONDS = 12; // for a whole painting
const QUICK_SIDE = 512; // pixels while scrubbing, as of live frames
const LARGEST_SIDE = 1536;
const TILES = 10; // pictures in a row

const easel = new Easel($("painting"), $("overlay"));
const connection = new Connection(`ws://${location.host}/live`);
let panel = null; // settings, once the server has said hello
let facts = null; // of the document
let shown = 0; // strokes on the screen
let view = "painting";
let job = null; // the latest state of painting
let picked = null; // the selected stroke
let locking = false;
let other = null; // the document that is compared
let side = QUICK_SIDE; // pixels on the long side of the canvas
let playing = 0;

const running = () => job !== null && ["waiting", "running"].includes(job.state);

// Talking to the server.

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

/** An edit, and what it was. */
async function edit(name, args) {
  const done = await ask(name, args);
  if (done && typeof done !== "string" && facts?.undo) say(`${facts.undo}.`);
  return done;
}

/** A command; an error is shown and is null. */
async function ask(name, args) {
  try {
    const result = await connection.ask(name, args);
    if (typeof result === "string" && name !== "duplicate") say(result);
    else if ($("status").classList.contains("wrong")) say("");
    return result === null ? true : result;
  } catch (error) {
    say(error.message, true);
    return null;
  }
}

connection.addEventListener("connected", async () => {
  $("offline").hidden = true;
  job = null;
  const hello = await ask("hello");
  if (hello === null) return;
  if (panel === null) begin(hello);
  await follow();
});
connection.addEventListener("lost", () => ($("offline").hidden = false));

function begin(hello) {
  panel = new SettingsPanel(hello, update);
  for (const { kind, title } of hello.formats) $("export-kind").append(new Option(title, kind));
  $("export-kind").formats = Object.fromEntries(hello.formats.map((format) => [format.kind, format]));
  chooseFormat();
  $("kaokore").hidden = hello.faces === 0;
  $("credit").textContent = `Faces: ${hello.credit}`;
  if (hello.faces) showFaces(0);
  showSamples();
}

// Which document: the address holds its name, so that a reload and a restart come back to it.

addEventListener("hashchange", follow);

async function follow() {
  const name = decodeURIComponent(location.hash.slice(1));
  closeCompare();
  if (!name) {
    facts = null;
    await welcome();
    return;
  }
  if (facts?.name === name) facts = null; // after a reconnection all is asked again
  if ((await ask("open", { name })) === null) {
    const text = $("status").textContent;
    location.hash = "";
    await welcome();
    alertOffline(text);
  }
}

function alertOffline(text) {
  $("offline").textContent = text;
  $("offline").hidden = false;
  setTimeout(() => {
    $("offline").hidden = true;
    $("offline").textContent = "The studio does not answer; trying again …";
  }, 6000);
}

async function welcome() {
  document.body.classList.remove("working", "ready");
  $("welcome").hidden = false;
  $("workbench").hidden = true;
  $("name").hidden = true;
  document.title = "Studio";
  const list = await ask("paintings");
  $("recent").hidden = !list?.length;
  if (list) fillPaintings($("recents"), list.slice(0, 12), go, true);
}

function go(name) {
  location.hash = encodeURIComponent(name);
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}

connection.addEventListener("facts", async ({ detail }) => {
  const next = detail.facts;
  if (next === null) return;
  const fresh = facts?.name !== next.name, changed = fresh || facts.version !== next.version;
  facts = next;
  if (fresh) arrive();
  if (changed && !(facts.busy && running())) {
    shown = facts.cursor;
    if (!locking) pick(null);
    update();
    await Promise.all([refresh(), loadMask()]);
  }
  update();
});

function arrive() {
  document.body.classList.add("working");
  document.body.classList.toggle("ready", facts.count === 0);
  $("welcome").hidden = true;
  $("workbench").hidden = false;
  $("name").hidden = false;
  $("name").value = facts.name;
  document.title = `${facts.name} · Studio`;
  job = null;
  if (decodeURIComponent(location.hash.slice(1)) !== facts.name) history.replaceState(null, "", `#${encodeURIComponent(facts.name)}`);
  if (facts.count > 0) panel.set(facts.settings);
  view = facts.count > 0 ? "painting" : "picture";
  say(facts.count > 0 ? "" : "Choose a style, then Paint.");
  closeCompare();
  layout();
  if (facts.count === 0) $("paint").focus({ preventScroll: true });
}

// Images.

function address(what, count, size, about = facts) {
  const query = new URLSearchParams({ size, version: about.version });
  if (what !== "picture" && what !== "mask") query.set("count", count);
  return `/document/${encodeURIComponent(about.name)}/${what}?${query}`;
}

function load(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("An image could not be loaded."));
    image.src = url;
  });
}

// One image at a time; meanwhile, only the newest wish is kept. Sharp ones follow when nothing more is wished.
let loading = false, wished = null, sharpen = 0;

function refresh(size = side) {
  wished = { count: shown, size, view };
  return loading ? Promise.resolve() : next();
}

async function next() {
  loading = true;
  while (wished !== null && facts !== null) {
    const wish = wished;
    wished = null;
    try {
      const images = await Promise.all(
        (wish.view === "outlines" ? ["painting", "outlines"] : [wish.view]).map((what) => load(address(what, wish.count, wish.size))));
      if (running() && wish.view === "painting") continue; // a live frame is newer
      const { width, height } = images[0];
      easel.show(images[0]);
      if (images[1]) {
        const context = easel.painting;
        context.globalAlpha = 0.72;
        context.fillStyle = "#fffdf8";
        context.fillRect(0, 0, width, height);
        context.globalAlpha = 1;
        context.drawImage(images[1], 0, 0, width, height);
      }
    } catch (error) {
      if (wished === null) say(error.message, true);
    }
  }
  loading = false;
}

async function loadMask() {
  try {
    easel.setMask(facts.mask ? await load(address("mask", 0, QUICK_SIDE)) : null);
  } catch {
    easel.setMask(null);
  }
}

// Frames are decoded one at a time; late ones are left out.
let decoding = false;
connection.addEventListener("frame", async ({ detail }) => {
  shown = detail.strokes;
  if (view === "painting" && !decoding) {
    decoding = true;
    const image = await createImageBitmap(detail.image);
    easel.show(image);
    decoding = false;
  }
  showCount();
});

connection.addEventListener("job", ({ detail }) => {
  const before = job;
  job = detail;
  if (job.state === "waiting") say(`${job.title}: place ${job.place} in the queue.`);
  else if (job.state === "running") {
    if (before?.state !== "running" || before.number !== job.number) {
      pause();
      pick(null);
      setView("painting");
      document.body.classList.remove("ready");
    }
    say(`${job.title}: ${Math.round(100 * job.progress)} %`);
  } else if (before !== null && before.number === job.number && !["waiting", "running"].includes(before.state)) return;
  else if (job.state === "failed") say(job.error, true);
  else if (facts) {
    shown = facts.cursor;
    refresh();
    finished(job.state === "stopped" ? "Stopped" : "Finished");
  }
  update();
});

async function finished(word) {
  say(`${word}: ${facts.count} strokes.`);
  const quality = await connection.ask("quality").catch(() => null);
  if (quality && !running()) say(`${word}: ${facts.count} strokes, mean squared error ${quality.mse.toPrecision(2)}.`);
}

// What the page shows of all this.

function update() {
  if (facts === null) return;
  const busy = running(), count = facts.count;
  easel.enabled = !busy;
  $("paint").hidden = busy;
  $("paint").textContent = count > 0 ? "Paint anew" : "Paint";
  $("paint").classList.toggle("main", count === 0 || (panel !== null && !panel.same(facts.settings)));
  $("stop").hidden = !busy;
  $("stop").textContent = job?.state === "waiting" ? `Leave the queue (place ${job.place})` : "Stop";
  $("go-on").hidden = busy || !facts.unfinished || count === 0;
  $("go-on").classList.toggle("main", true);
  $("more-row").hidden = count === 0;
  $("cut").hidden = shown >= count;
  for (const id of ["more", "cut", "repaint", "mask-clear", "lock", "erase", "new-colour"]) $(id).disabled = busy;
  $("mask-clear").disabled = busy || !facts.mask;
  $("undo").disabled = busy || !facts.undo;
  $("redo").disabled = busy || !facts.redo;
  $("undo").title = facts.undo ? `Undo: ${facts.undo} (Ctrl Z)` : "";
  $("redo").title = facts.redo ? `Redo: ${facts.redo} (Ctrl Shift Z)` : "";
  $("undo").setAttribute("aria-label", facts.undo ? `Undo: ${facts.undo}` : "Undo");
  $("redo").setAttribute("aria-label", facts.redo ? `Redo: ${facts.redo}` : "Redo");
  $("name").value = document.activeElement === $("name") ? $("name").value : facts.name;
  mark(document.querySelector(".views"), (button) => button.dataset.view === view);
  for (const button of document.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === easel.tool);
  $("overlay").dataset.mode = easel.tool;
  $("overlay").setAttribute("aria-label", `Canvas: ${{ look: "look at strokes", draw: "draw a stroke", mask: "brush a mask" }[easel.tool]}`);
  $("panel-draw").hidden = easel.tool !== "draw";
  $("panel-mask").hidden = easel.tool !== "mask";
  $("panel-stroke").hidden = easel.tool !== "look" || $("stroke-values").childElementCount === 0;
  showCount();
}

function showCount() {
  const total = running() ? Math.max(facts?.goal ?? 0, panel?.settings.strokes ?? 0, shown) : facts?.count ?? 0;
  $("scrub").max = total;
  $("scrub").value = shown;
  $("scrub").disabled = running() || total === 0;
  $("play").disabled = running() || total === 0;
  $("scrub").setAttribute("aria-valuetext", `${shown} of ${total} strokes`);
  $("count").textContent = running() ? `${shown.toLocaleString("en")}` : `${shown.toLocaleString("en")} / ${total.toLocaleString("en")}`;
  $("cut").hidden = running() || shown >= (facts?.count ?? 0);
  if (facts && !running()) $("more").textContent = shown < facts.count ? "Add from here" : "Add";
  $("cut").textContent = `Keep only these ${shown.toLocaleString("en")} strokes`;
}

function layout() {
  if (facts === null) return;
  const room = $("frame").getBoundingClientRect(), narrow = innerWidth <= 820;
  let [width, height] = narrow ? [room.width, innerHeight * 0.56] : [room.width, room.height];
  if (other) [width, height] = narrow ? [width, height / 1.6] : [(width - 22) / 2, height - 30];
  side = Math.max(256, Math.min(LARGEST_SIDE, 128 * Math.ceil(easel.fit(width, height, facts.aspect) / 128)));
  if (other) {
    $("other-canvas").style.width = $("easel").style.width;
    $("other-canvas").style.height = $("easel").style.height;
  }
  if (!running()) refresh();
}
new ResizeObserver(() => layout()).observe($("frame"));

// The timeline.

async function seek(count, quick = false) {
  if (facts === null || running()) return;
  shown = Math.max(0, Math.min(facts.count, Math.round(count)));
  pick(null);
  clearTimeout(sharpen);
  if (quick) {
    refresh(Math.min(side, QUICK_SIDE));
    sharpen = setTimeout(() => settle(), 180);
  } else {
    await settle();
  }
  showCount();
}

/** Tell the server which strokes are shown, and show them sharp. */
async function settle() {
  if (facts === null || running()) return;
  facts.cursor = shown;
  await ask("show", { count: shown });
  await refresh();
  showCount();
}

function pause() {
  cancelAnimationFrame(playing);
  playing = 0;
  $("play").setAttribute("aria-label", "Play the painting");
  $("play").querySelector("path").setAttribute("d", "M8 5v14l11-7z");
}

function play() {
  if (facts === null || facts.count === 0 || running()) return;
  if (playing) {
    pause();
    settle();
    return;
  }
  setView("painting");
  let at = shown >= facts.count ? 0 : shown, last = performance.now();
  $("play").setAttribute("aria-label", "Pause");
  $("play").querySelector("path").setAttribute("d", "M7 5h4v14H7zM13 5h4v14h-4z");
  const step = (now) => {
    // The first frame may have begun before it was asked for.
    at += (Math.max(0, now - last) / 1000 / PLAY_SECONDS) * facts.count;
    last = now;
    shown = Math.min(facts.count, Math.floor(at));
    refresh(Math.min(side, QUICK_SIDE));
    showCount();
    if (shown >= facts.count) {
      pause();
      settle();
    } else {
      playing = requestAnimationFrame(step);
    }
  };
  playing = requestAnimationFrame(step);
}

$("scrub").addEventListener("input", () => {
  pause();
  seek(Number($("scrub").value), true);
});
$("play").addEventListener("click", play);

// Painting.

const strokesOf = (id) => Math.max(1, Math.min(2000, Math.round(Number($(id).value)) || 100));

async function paint() {
  if (facts === null || running()) return;
  pause();
  if (await ask("paint", { settings: panel.settings })) say("Beginning …");
}

/** Settings for strokes that are added: the brush is the painting's. */
const forMore = () => ({ ...panel.settings, brush: facts.brush, blend: facts.settings.brush === panel.settings.brush ? panel.settings.blend : null });

async function more() {
  if (facts === null || running() || facts.count === 0) return;
  pause();
  await settle();
  await ask("more", { strokes: strokesOf("more-count"), settings: forMore() });
}

async function repaint() {
  if (facts === null || running()) return;
  pause();
  await settle();
  await ask("repaint", { strokes: strokesOf("repaint-count"), settings: forMore() });
}

$("paint").addEventListener("click", paint);
$("stop").addEventListener("click", () => ask("stop"));
$("go-on").addEventListener("click", () => ask("go_on"));
$("more").addEventListener("click", more);
$("repaint").addEventListener("click", repaint);
$("undo").addEventListener("click", () => ask("undo"));
$("redo").addEventListener("click", () => ask("redo"));
$("cut").addEventListener("click", async () => {
  await settle();
  await edit("cut");
});

// Views and tools.

function setView(name) {
  view = name;
  update();
  if (!running() || name !== "painting") refresh();
}

function setTool(name) {
  easel.tool = name;
  easel.outline = null;
  pick(null);
  easel.draw();
  update();
}

for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => setView(button.dataset.view));
for (const group of document.querySelectorAll(".views")) group.addEventListener("keydown", (event) => roving(event, group));
for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => setTool(button.dataset.tool));

function slider(id, show, set) {
  const input = $(id), take = () => {
    input.nextElementSibling.textContent = show(Number(input.value));
    input.setAttribute("aria-valuetext", show(Number(input.value)));
    set(Number(input.value));
    easel.draw();
  };
  input.addEventListener("input", take);
  take();
}
const percent = (value) => `${(100 * value).toFixed(1).replace(/\.0$/, "")} %`;
slider("draw-size", percent, (value) => (easel.brush.radius = value));
slider("draw-opacity", percent, (value) => (easel.brush.opacity = value));
slider("mask-size", percent, (value) => (easel.maskRadius = value));
slider("tolerance", percent, () => {});
$("draw-colour").addEventListener("input", () => (easel.brush.colour = $("draw-colour").value));
easel.brush.colour = $("draw-colour").value;
$("mask-erase").addEventListener("click", () => {
  easel.erasing = !easel.erasing;
  $("mask-erase").setAttribute("aria-pressed", easel.erasing);
});
$("mask-clear").addEventListener("click", () => edit("mask", { png: null }));

function resizeBrush(by) {
  const input = $(easel.tool === "mask" ? "mask-size" : "draw-size");
  if (easel.tool === "look") return;
  by > 0 ? input.stepUp(3) : input.stepDown(3);
  input.dispatchEvent(new Event("input"));
}

easel.addEventListener("stroke", async ({ detail }) => {
  const thinned = detail.filter((_, i) => detail.length < 2000 || i % Math.ceil(detail.length / 2000) === 0);
  const points = thinned.map((point) => point.map((value) => Math.round(value * 1e5) / 1e5));
  const { radius, colour, opacity } = easel.brush;
  await settle();
  if (await ask("stroke", { points, radius, colour, opacity })) say("Your stroke is locked. Add strokes, and the agent paints around it.");
});
easel.addEventListener("mask", () => edit("mask", { png: easel.maskImage() }));

// The stroke under the pointer, and the selected one.

let asked = false, wanted = null;
easel.addEventListener("hover", async ({ detail }) => {
  if (easel.tool !== "look" || picked !== null || running() || facts === null || facts.count === 0) return;
  wanted = detail;
  if (asked) return;
  asked = true;
  while (wanted !== null && picked === null && !running()) {
    const [x, y] = wanted;
    wanted = null;
    const about = await connection.ask("at", { x, y }).catch(() => null);
    if (picked === null) showStroke(about, false);
  }
  asked = false;
  if (detail === null && picked === null) showStroke(null, false);
});
easel.addEventListener("pick", async ({ detail: [x, y] }) => {
  if (running() || facts === null || facts.count === 0) return;
  const about = await ask("at", { x, y });
  pick(about === null || about === true || about.index === picked?.index ? null : about);
});

function pick(about) {
  if (about === null && picked === null) return;
  picked = about;
  showStroke(about, true);
}

function showStroke(about, strong) {
  const list = $("stroke-values");
  easel.outline = about ? { path: about.outline, box: about.box, strong: strong && picked !== null } : null;
  easel.draw();
  $("stroke-title").textContent = about ? `Stroke ${about.index + 1}${about.locked ? ", locked" : ""}${picked ? "" : " (click to select)"}` : "Stroke";
  const rows = about ? about.values.map(({ name, numbers, unit }) => [name, numbers.map((n) => n.toFixed(3).replace(/\.?0+$/, "")).join("  "), unit]) : [];
  list.replaceChildren(
    ...rows.flatMap(([name, text, unit]) => {
      const term = document.createElement("dt"), value = document.createElement("dd");
      term.textContent = name;
      term.title = unit;
      value.textContent = text;
      if (name === "colour") {
        const chip = document.createElement("i");
        chip.style.background = about.colour;
        value.textContent = `${about.colour} `;
        value.append(chip);
      }
      return [term, value];
    }));
  $("lock").textContent = about?.locked ? "Unlock" : "Lock";
  if (about && document.activeElement !== $("new-colour")) $("new-colour").value = about.colour;
  for (const id of ["lock", "erase", "new-colour", "tolerance"]) $(id).closest(".row, .field").hidden = picked === null;
  $("panel-stroke").hidden = easel.tool !== "look" || about === null;
}

async function withPicked(name, args) {
  if (picked === null || running()) return;
  const { index } = picked;
  locking = name === "lock"; // after which the stroke stays selected
  const done = await edit(name, { index, ...args });
  if (done && locking) pick(await connection.ask("about", { index }).catch(() => null));
  locking = false;
}
$("lock").addEventListener("click", () => withPicked("lock", { locked: !picked?.locked }));
$("erase").addEventListener("click", () => withPicked("erase"));
$("new-colour").addEventListener("change", () => {
  if (picked !== null) ask("recolour", { old: picked.colour, new: $("new-colour").value, tolerance: Number($("tolerance").value) });
});

// Pictures to begin with.

function tile(source, label, choose, remove, named = Boolean(remove)) {
  const box = document.createElement("div"), button = document.createElement("button"), image = new Image();
  box.className = "tile";
  button.type = "button";
  button.setAttribute("aria-label", label);
  image.loading = "lazy";
  image.alt = "";
  image.src = source;
  button.append(image);
  button.addEventListener("click", choose);
  box.append(button);
  if (named) {
    const text = document.createElement("span");
    text.textContent = label;
    text.title = label;
    box.append(text);
  }
  if (remove) {
    const cross = document.createElement("button");
    Object.assign(cross, { type: "button", className: "remove", textContent: "×", title: `Remove ${label}` });
    cross.setAttribute("aria-label", `Remove ${label}`);
    cross.addEventListener("click", remove);
    box.append(cross);
  }
  return box;
}

async function start(name, args) {
  say("");
  if ((await ask(name, args)) === null) alertOffline($("status").textContent);
}

let sampleSeed = Math.floor(Math.random() * 1e6);
function showSamples() {
  const seeds = Array.from({ length: TILES }, (_, i) => sampleSeed + i);
  sampleSeed += TILES;
  $("samples").replaceChildren(...seeds.map((seed) => tile(`/sample/${seed}`, `Sampled face ${seed}`, () => start("sample", { seed }))));
}
$("resample").addEventListener("click", showSamples);

let faceStart = 0;
async function showFaces(from) {
  const numbers = await ask("faces", { start: from });
  if (!numbers) return;
  $("faces").replaceChildren(...numbers.slice(0, 2 * TILES).map((number) => tile(`/face/${number}`, `KaoKore face ${number}`, () => start("face", { number }))));
  faceStart = from + 2 * TILES;
}
$("other-faces").addEventListener("click", () => showFaces(faceStart));

function fillPaintings(box, list, choose, removable) {
  box.replaceChildren(
    ...list.map(({ name, changed }) =>
      tile(`/document/${encodeURIComponent(name)}/painting?size=192&t=${changed}`, name, () => choose(name), removable ? async () => {
        if (!confirm(`Remove ${name} with all its edits?`)) return;
        if ((await ask("remove", { name })) === null) return;
        if (facts?.name === name) go("");
        fillPaintings(box, list.filter((entry) => entry.name !== name), choose, removable);
      } : null, true)));
}

async function upload(file) {
  if (!file) return;
  try {
    const answer = await fetch(`/upload?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
    const { name, error } = await answer.json();
    if (error) throw new Error(error);
    go(name);
  } catch (error) {
    say(error.message, true);
    alertOffline(error.message);
  }
}
$("file").addEventListener("change", () => {
  upload($("file").files[0]);
  $("file").value = "";
});
let over = 0;
addEventListener("dragenter", (event) => {
  event.preventDefault();
  over++;
  $("veil").hidden = false;
});
addEventListener("dragleave", () => {
  over = Math.max(0, over - 1);
  $("veil").hidden = over === 0;
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  over = 0;
  $("veil").hidden = true;
  upload(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => upload(event.clipboardData?.files[0]));

// Names, other paintings, comparing.

$("name").addEventListener("change", async () => {
  await ask("rename", { name: $("name").value });
  $("name").blur();
});
$("home").addEventListener("click", (event) => {
  event.preventDefault();
  location.hash = "";
});

async function openDialog() {
  const list = await ask("paintings");
  if (list === null) return;
  fillPaintings($("all"), list, go, true);
  $("dialog-open").showModal();
}
$("open").addEventListener("click", openDialog);
$("new").addEventListener("click", () => go(""));

async function compareDialog() {
  if (facts === null) return;
  if (other) {
    closeCompare();
    layout();
    return;
  }
  const list = await ask("paintings");
  if (list === null) return;
  fillPaintings($("others"), list.filter(({ name }) => name !== facts.name), beside, false);
  $("dialog-compare").showModal();
}
$("compare").addEventListener("click", compareDialog);
$("duplicate").addEventListener("click", async () => {
  const name = await ask("duplicate");
  if (name) beside(name);
});

async function beside(name) {
  $("dialog-compare").close();
  const found = await ask("compare", { other: name });
  if (!found) return;
  other = found.second.facts;
  $("other").hidden = false;
  $("compare").setAttribute("aria-pressed", "true");
  layout();
  const image = await load(address("painting", other.cursor, side, other));
  const canvas = $("other-canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").drawImage(image, 0, 0);
  const text = `${name}: ${found.second.strokes} strokes, error ${found.second.mse.toPrecision(2)}`;
  canvas.setAttribute("aria-label", text);
  $("other-about").textContent = text;
  $("mine-about").textContent = `${facts.name}: ${found.first.strokes} strokes, error ${found.first.mse.toPrecision(2)}`;
  $("mine-about").hidden = false;
  say(found.difference < 1e-9 ? "The two are equal." : `The two differ by ${found.difference.toPrecision(2)} (mean squared error).`);
}

function closeCompare() {
  other = null;
  $("other").hidden = true;
  $("mine-about").hidden = true;
  $("compare").removeAttribute("aria-pressed");
}

// Files.

function chooseFormat() {
  const { size, kind } = $("export-kind").formats[$("export-kind").value];
  $("export-size-field").hidden = size === null;
  if (size !== null) $("export-size").value = size;
  $("export-colours-field").hidden = !/plan|lines|hpgl|gcode/.test(kind);
}
$("export-kind").addEventListener("change", chooseFormat);

async function exportAs(kind, size, colours) {
  if (facts === null) return;
  await settle();
  return ask("export", { kind, size, colours });
}
$("export-start").addEventListener("click", async () => {
  const { kind, size } = $("export-kind").formats[$("export-kind").value];
  const started = await exportAs(kind, size === null ? null : Number($("export-size").value), Number($("export-colours").value) || 8);
  $("export-status").textContent = started === null ? $("status").textContent : "Writing …";
});
const save = () => exportAs("session", null, 8);
$("save").addEventListener("click", save);
$("export").addEventListener("click", () => {
  if (facts === null) return;
  $("export-status").textContent = "";
  $("dialog-export").showModal();
});

connection.addEventListener("export", ({ detail }) => {
  let text = detail.state === "waiting" ? `${detail.title}: place ${detail.place} in the queue.` : `${detail.title}: ${Math.round(100 * detail.progress)} %`;
  if (detail.state === "failed") text = detail.error;
  if (detail.state === "finished") {
    text = `Written: ${detail.file}`;
    const link = document.createElement("a");
    link.href = detail.url;
    link.download = detail.file;
    link.click();
  }
  $("export-status").textContent = text;
  say(text, detail.state === "failed");
});

// Keys.

const KEYS = {
  p: paint, g: () => !running() && facts?.unfinished && ask("go_on"), m: more, r: repaint,
  " ": () => (running() ? ask("stop") : play()),
  ArrowLeft: (event) => seek(shown - (event.shiftKey ? 10 : 1), true), ArrowRight: (event) => seek(shown + (event.shiftKey ? 10 : 1), true),
  Home: () => seek(0), End: () => seek(facts.count),
  1: () => setView("painting"), 2: () => setView("picture"), 3: () => setView("error"), 4: () => setView("outlines"),
  v: () => setTool("look"), d: () => setTool("draw"), b: () => setTool("mask"),
  "[": () => resizeBrush(-1), "]": () => resizeBrush(1),
  l: () => withPicked("lock", { locked: !picked?.locked }), Delete: () => withPicked("erase"), Backspace: () => withPicked("erase"),
  c: () => picked !== null && $("new-colour").focus(),
  k: compareDialog, x: () => $("export").click(),
  Escape: () => {
    if (easel.line) easel.cancel();
    else if (running()) ask("stop");
    else if (other) compareDialog();
    else pick(null);
  },
};
const ANYWHERE = { o: openDialog, "?": () => $("dialog-keys").showModal() };
$("keys").addEventListener("click", ANYWHERE["?"]);

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const { target, key } = event, typing = target.matches("input:not([type='range']), select, textarea");
  if ((event.ctrlKey || event.metaKey) && !typing && facts !== null) {
    const name = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[key.toLowerCase()];
    if (key.toLowerCase() === "s") save();
    else if (name) ask(name);
    else return;
    event.preventDefault();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
  if (target.matches("input[type='range']") && target !== $("scrub") && /^(Arrow|Home|End)/.test(key)) return;
  if ((key === " " || key === "Enter") && target.closest("button, summary, a, label")) return; // presses what has the focus
  const act = ANYWHERE[key] ?? (facts !== null ? KEYS[key] : undefined);
  if (!act || (event.repeat && !key.startsWith("Arrow"))) return;
  event.preventDefault();
  act(event);
});
