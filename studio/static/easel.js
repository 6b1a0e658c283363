// The canvas and what lies over it: the mask, the outline of a stroke, the stroke being drawn, and a cursor for the keyboard.

const MASK_SIDE = 512; // pixels on the long side
const MOUSE_PRESSURE = 0.7;
const LIGHTEST = 0.15; // width at no pressure, as in studio/hand_stroke.py
const STEP = 0.02, SMALL_STEP = 0.004; // of the cursor, as fractions of the canvas

const seal = () => getComputedStyle(document.documentElement).getPropertyValue("--seal").trim();

/**
 * Events: `hover` (x, y or null), `pick` (x, y), `stroke` (points), `mask` (canvas).
 * All positions are fractions of width and height.
 */
export class Easel extends EventTarget {
  constructor(painting, overlay) {
    super();
    this.painting = painting.getContext("2d", { alpha: false });
    this.overlay = overlay.getContext("2d");
    this.mask = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    this.tool = "look";
    this.enabled = true;
    this.erasing = false;
    this.brush = { radius: 0.025, colour: "#000000", opacity: 1 };
    this.maskRadius = 0.07;
    this.outline = null; // { path, box, strong }
    this.line = null; // points of the stroke or mask being drawn
    this.cursor = null; // of the keyboard
    this.pointer = null; // where the mouse is, to show the size of the brush
    this.hasMask = false;
    this.listen(overlay);
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Fit the canvases to a box in CSS pixels and the picture's width over its height. */
  fit(width, height, aspect) {
    const [w, h] = width / height > aspect ? [height * aspect, height] : [width, width / aspect];
    const box = this.overlay.canvas.parentElement;
    box.style.width = `${Math.floor(w)}px`;
    box.style.height = `${Math.floor(h)}px`;
    const scale = Math.min(2, devicePixelRatio || 1);
    this.overlay.canvas.width = Math.round(w * scale);
    this.overlay.canvas.height = Math.round(h * scale);
    const [mw, mh] = aspect > 1 ? [MASK_SIDE, Math.round(MASK_SIDE / aspect)] : [Math.round(MASK_SIDE * aspect), MASK_SIDE];
    if (this.mask.canvas.width !== mw || this.mask.canvas.height !== mh) {
      this.mask.canvas.width = mw;
      this.mask.canvas.height = mh;
    }
    this.draw();
    return Math.ceil(Math.max(w, h) * scale);
  }

  /** Show an image. */
  show(image, width = image.width, height = image.height) {
    const { canvas } = this.painting;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    this.painting.drawImage(image, 0, 0, width, height);
  }

  /** Take over a mask, white inside; null for none. */
  setMask(image) {
    const { canvas } = this.mask;
    this.mask.clearRect(0, 0, canvas.width, canvas.height);
    this.hasMask = image !== null;
    if (image) {
      this.mask.drawImage(image, 0, 0, canvas.width, canvas.height);
      const pixels = this.mask.getImageData(0, 0, canvas.width, canvas.height);
      for (let p = 0; p < pixels.data.length; p += 4) pixels.data[p + 3] = pixels.data[p];
      this.mask.putImageData(pixels, 0, 0);
    }
    this.draw();
  }

  /** The mask as a PNG in base64, white inside on black. */
  maskImage() {
    const sheet = document.createElement("canvas");
    sheet.width = this.mask.canvas.width;
    sheet.height = this.mask.canvas.height;
    const context = sheet.getContext("2d");
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.drawImage(this.mask.canvas, 0, 0);
    return sheet.toDataURL("image/png").split(",")[1];
  }

  draw() {
    const { overlay: context, tool } = this, { width, height } = context.canvas, short = Math.min(width, height);
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, width, height);
    context.canvas.classList.toggle("cursor", this.cursor !== null);
    if (tool === "mask" && (this.hasMask || this.line)) {
      context.globalAlpha = 0.42;
      context.drawImage(this.mask.canvas, 0, 0, width, height);
      context.globalCompositeOperation = "source-in";
      context.fillStyle = seal();
      context.globalAlpha = 1;
      context.fillRect(0, 0, width, height);
      context.globalCompositeOperation = "source-over";
    }
    if (this.outline?.path) {
      const { path, box, strong } = this.outline;
      context.save();
      context.scale(width / box[0], height / box[1]);
      const shape = new Path2D(path), unit = box[0] / width;
      for (const [colour, thick] of [["#fffdf8", 5], [seal(), strong ? 3 : 2]]) {
        context.strokeStyle = colour;
        context.lineWidth = thick * unit * (devicePixelRatio > 1 ? 1.5 : 1);
        context.stroke(shape);
      }
      context.restore();
    }
    if (tool === "draw" && this.line) {
      context.globalAlpha = this.brush.opacity;
      context.strokeStyle = this.brush.colour;
      context.fillStyle = this.brush.colour;
      context.lineCap = "round";
      this.line.forEach(([x, y, pressure], i) => {
        const radius = this.brush.radius * short * (LIGHTEST + (1 - LIGHTEST) * pressure);
        context.beginPath();
        if (i === 0) {
          context.arc(x * width, y * height, radius, 0, 2 * Math.PI);
          context.fill();
          return;
        }
        context.lineWidth = 2 * radius;
        context.moveTo(this.line[i - 1][0] * width, this.line[i - 1][1] * height);
        context.lineTo(x * width, y * height);
        context.stroke();
      });
      context.globalAlpha = 1;
    }
    const at = this.cursor ?? (tool !== "look" && this.enabled ? this.pointer : null);
    if (at) this.drawCursor(context, at, short);
  }

  drawCursor(context, [x, y], short) {
    const { width, height } = context.canvas, radius = this.tool === "draw" ? this.brush.radius : this.maskRadius;
    for (const [colour, thick] of [["#fffdf8cc", 3], ["#26221d", 1.2]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick * (devicePixelRatio > 1 ? 1.5 : 1);
      context.beginPath();
      if (this.tool !== "look") context.arc(x * width, y * height, radius * short, 0, 2 * Math.PI);
      if (this.cursor) {
        context.moveTo(x * width - 9, y * height);
        context.lineTo(x * width + 9, y * height);
        context.moveTo(x * width, y * height - 9);
        context.lineTo(x * width, y * height + 9);
      }
      context.stroke();
    }
  }

  begin(point) {
    this.line = [point];
    if (this.tool === "mask") this.brushMask();
    this.draw();
  }

  extend(points) {
    if (!this.line) return;
    for (const point of points) {
      this.line.push(point);
      if (this.tool === "mask") this.brushMask();
    }
    this.draw();
  }

  end() {
    const line = this.line;
    this.line = null;
    if (!line) return;
    if (this.tool === "mask") {
      this.hasMask = true;
      this.emit("mask");
    } else {
      this.emit("stroke", line);
    }
    this.draw();
  }

  cancel() {
    this.line = null;
    this.draw();
  }

  brushMask() {
    const { mask: context, line } = this, { width, height } = context.canvas;
    const [x, y] = line.at(-1), [px, py] = line.at(-2) ?? line.at(-1);
    context.globalCompositeOperation = this.erasing ? "destination-out" : "source-over";
    context.strokeStyle = "#fff";
    context.lineCap = "round";
    context.lineWidth = 2 * this.maskRadius * Math.min(width, height);
    context.beginPath();
    context.moveTo(px * width, py * height);
    context.lineTo(x * width + 0.01, y * height);
    context.stroke();
  }

  listen(canvas) {
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      const clamp = (value) => Math.max(0, Math.min(1, value));
      const pressure = event.pointerType === "mouse" || !event.pressure ? MOUSE_PRESSURE : event.pressure;
      return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height), pressure];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.enabled) return;
      this.cursor = null;
      if (this.tool === "look") {
        this.emit("pick", place(event));
        return;
      }
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      this.begin(place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      this.pointer = place(event);
      if (this.line && canvas.hasPointerCapture(event.pointerId)) {
        const events = event.getCoalescedEvents?.() ?? [];
        this.extend((events.length ? events : [event]).map(place));
      } else if (this.tool === "look") {
        this.emit("hover", this.pointer);
      } else {
        this.draw();
      }
    });
    canvas.addEventListener("pointerup", () => this.end());
    canvas.addEventListener("pointercancel", () => this.cancel());
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.emit("hover", null);
      this.draw();
    });
    canvas.addEventListener("focus", () => {
      if (canvas.matches(":focus-visible") && !this.pointer) {
        this.cursor ??= [0.5, 0.5];
        this.draw();
      }
    });
    canvas.addEventListener("blur", () => {
      this.cursor = null;
      this.cancel();
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const by = event.shiftKey ? SMALL_STEP : STEP;
    const move = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || (!move && event.key !== "Enter")) return;
    event.preventDefault();
    event.stopPropagation();
    const [x, y] = this.cursor ?? [0.5, 0.5];
    this.cursor = move ? [Math.max(0, Math.min(1, x + move[0])), Math.max(0, Math.min(1, y + move[1]))] : [x, y];
    const point = [...this.cursor, MOUSE_PRESSURE];
    if (move && this.line) this.extend([point]);
    else if (move && this.tool === "look") this.emit("hover", point);
    else if (!move && this.enabled && !event.repeat) {
      if (this.tool === "look") this.emit("pick", point);
      else if (this.line) this.end();
      else this.begin(point);
    }
    this.emit("cursor", this.cursor);
    this.draw();
  }
}
