// The player of a painting.html: play, pause, scrub and speed, by mouse, touch and keyboard.
(async () => {
  "use strict";
  const SECONDS = 12; // of a whole painting at speed 1
  const PLAY = "M7 4v16l13-8z", PAUSE = "M6 4h4v16H6zM14 4h4v16h-4z";
  const [canvas, play, scrub, count, speed] = ["canvas", "play", "scrub", "count", "speed"].map((id) => document.getElementById(id));
  const coded = JSON.parse(document.getElementById("painting").textContent);
  const drawing = await StrokeCanvas.decode(coded);
  const total = drawing.count, view = new StrokeCanvas.View(canvas, drawing);
  let at = total, frame = 0, last = 0; // `at` may lie between two strokes while playing

  canvas.setAttribute("aria-label", `${coded.name}, painted with ${total} strokes`);
  scrub.max = total;

  function show(n) {
    at = Math.max(0, Math.min(total, n));
    const shown = Math.floor(at);
    view.show(shown);
    scrub.value = shown;
    scrub.setAttribute("aria-valuetext", `${shown} of ${total} strokes`);
    count.textContent = `${shown} / ${total}`;
  }

  function fit() {
    const room = canvas.parentElement.getBoundingClientRect(), below = canvas.nextElementSibling.getBoundingClientRect();
    const scale = Math.min(room.width / drawing.width, (room.height - below.height - 12) / drawing.height);
    const [width, height] = [drawing.width, drawing.height].map((side) => Math.max(1, Math.floor(side * scale) - 2));
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    view.resize(Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio));
  }

  function running(yes) {
    cancelAnimationFrame(frame);
    frame = 0;
    play.setAttribute("aria-label", yes ? "Pause" : "Play");
    play.querySelector("path").setAttribute("d", yes ? PAUSE : PLAY);
    if (!yes) return;
    if (at >= total) show(0);
    last = performance.now();
    frame = requestAnimationFrame(step);
  }

  function step(now) {
    show(at + (Math.max(0, now - last) / 1000 / SECONDS) * total * Number(speed.value));
    last = now;
    if (at >= total) running(false);
    else frame = requestAnimationFrame(step);
  }

  function faster(by) {
    speed.selectedIndex = Math.max(0, Math.min(speed.length - 1, speed.selectedIndex + by));
  }

  function go(n) {
    running(false);
    show(Math.floor(n));
  }

  play.addEventListener("click", () => running(frame === 0));
  scrub.addEventListener("input", () => go(Number(scrub.value)));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === speed) return;
    const by = event.shiftKey ? 10 : 1;
    const keys = {
      " ": () => running(frame === 0), ArrowLeft: () => go(at - by), ArrowRight: () => go(at + by),
      Home: () => go(0), End: () => go(total), "<": () => faster(-1), ">": () => faster(1),
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    if (!event.repeat || event.key.startsWith("Arrow")) keys[event.key]();
  });
  new ResizeObserver(fit).observe(canvas.parentElement);
  fit();
  show(total);
})();
