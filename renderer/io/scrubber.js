// The widget of renderer/io/scrubber.py, after stroke_canvas.js: a canvas, a slider and a button, drawn in the browser.
export default {
  async render({ model, el }) {
    const drawing = await StrokeCanvas.decode(model.get("coded"));
    const box = document.createElement("div"), canvas = document.createElement("canvas"), row = document.createElement("div");
    const play = document.createElement("button"), slider = document.createElement("input"), text = document.createElement("output");
    const width = model.get("width"), height = Math.max(1, Math.round((width * drawing.height) / drawing.width));
    box.style.cssText = `width:${width}px;max-width:100%`;
    canvas.style.cssText = "width:100%;display:block;border-radius:4px";
    canvas.setAttribute("role", "img");
    row.style.cssText = "display:flex;gap:.5em;align-items:center;margin-top:.4em";
    slider.style.cssText = "flex:1;min-width:0";
    play.type = "button";
    Object.assign(slider, { type: "range", min: 0, max: drawing.count, step: 1 });
    slider.setAttribute("aria-label", "Strokes shown");
    text.style.cssText = "min-width:7.5em;text-align:right;font-variant-numeric:tabular-nums";
    row.append(play, slider, text);
    box.append(canvas, row);
    el.append(box);
    const view = new StrokeCanvas.View(canvas, drawing), ratio = globalThis.devicePixelRatio || 1;
    view.resize(Math.round(width * ratio), Math.round(height * ratio));
    let at = model.get("count"), frame = 0, last = 0;

    function show(count) {
      at = Math.max(0, Math.min(drawing.count, count));
      const shown = Math.floor(at);
      view.show(shown);
      slider.value = shown;
      text.textContent = `${shown} / ${drawing.count}`;
      canvas.setAttribute("aria-label", `The painting with ${shown} of ${drawing.count} strokes`);
    }

    function tell() {
      model.set("count", Math.floor(at));
      model.save_changes();
    }

    function running(yes) {
      cancelAnimationFrame(frame);
      frame = 0;
      play.textContent = yes ? "❚❚" : "▶";
      play.setAttribute("aria-label", yes ? "Pause" : "Play");
      if (!yes) return;
      if (at >= drawing.count) show(0);
      last = performance.now();
      frame = requestAnimationFrame(step);
    }

    function step(now) {
      show(at + (Math.max(0, now - last) / 1000 / model.get("seconds")) * drawing.count);
      last = now;
      if (at < drawing.count) frame = requestAnimationFrame(step);
      else {
        running(false);
        tell();
      }
    }

    function onCount() {
      if (frame === 0 && model.get("count") !== Math.floor(at)) show(model.get("count"));
    }

    play.addEventListener("click", () => {
      running(frame === 0);
      if (frame === 0) tell();
    });
    slider.addEventListener("input", () => {
      running(false);
      show(Number(slider.value));
      tell();
    });
    model.on("change:count", onCount);
    running(false);
    show(at);
    return () => {
      cancelAnimationFrame(frame);
      model.off("change:count", onCount);
    };
  },
};
