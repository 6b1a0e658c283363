// Strokes in a canvas of the browser: the same marks as renderer/io/svg.py writes, drawn as the file is shown.
//
// A drawing has `width`, `height` (its own pixels), `background`, `count` and `draw(context, i)`, which lays stroke i over
// the context; the context's transform maps the drawing's pixels to the canvas. `StrokeCanvas.decode` makes one from what
// renderer/io/html_player.py coded. `StrokeCanvas.View` shows any number of its strokes, fast in both directions.
const StrokeCanvas = (() => {
  "use strict";

  const COLUMNS = 13; // of a Bezier stroke: start 2, bend 2, end 2, radius 2, opacity 2, colour 3
  const LARGEST_RADIUS = 0.25; // of the short side
  const SAME = 1 / 255; // opacities closer than this count as equal
  const AHEAD = Math.PI / 4; // how far ahead the last disc over a point lies, in radii, on average
  const FLAT = 0.1; // pixels between a curve and its straight pieces
  const SNAPSHOTS = 16;

  const css = (r, g, b, a = 1) => `rgb(${255 * r} ${255 * g} ${255 * b} / ${a})`;

  function bytesOf(base64) {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }

  /** Bezier strokes: discs along a quadratic curve; radius and opacity change linearly. */
  class Curves {
    /** @param values Float32Array of COLUMNS numbers in [0, 1] for each stroke */
    constructor(width, height, background, values) {
      Object.assign(this, { width, height, background, values, count: values.length / COLUMNS });
    }

    /** Stroke i in pixels. */
    stroke(i) {
      const [x0, y0, bx, by, x1, y1, r0, r1, a0, a1, red, green, blue] = this.values.subarray(COLUMNS * i, COLUMNS * i + COLUMNS);
      const { width, height } = this, side = LARGEST_RADIUS * Math.min(width, height);
      return {
        start: [x0 * width, y0 * height], end: [x1 * width, y1 * height],
        control: [(x0 + (x1 - x0) * bx) * width, (y0 + (y1 - y0) * by) * height],
        radius: [r0 * side, r1 * side], opacity: [a0, a1], colour: [red, green, blue],
      };
    }

    /** Points (x, y, radius) of a stroke, so close that straight pieces between them look curved. */
    discs({ start, control, end, radius }, scale) {
      const bend = Math.hypot(start[0] - 2 * control[0] + end[0], start[1] - 2 * control[1] + end[1]);
      const pieces = Math.min(64, Math.max(1, Math.ceil(Math.sqrt((bend * scale) / 4 / FLAT))));
      return Array.from({ length: pieces + 1 }, (_, k) => {
        const t = k / pieces, u = 1 - t;
        return [
          u * u * start[0] + 2 * t * u * control[0] + t * t * end[0],
          u * u * start[1] + 2 * t * u * control[1] + t * t * end[1],
          u * radius[0] + t * radius[1],
        ];
      });
    }

    /** The area under discs: circles and the quadrangles between them, all in one direction, so that their union is filled. */
    path(discs) {
      const path = new Path2D();
      discs.forEach(([x, y, r], k) => {
        path.moveTo(x + r, y);
        path.arc(x, y, r, 0, 2 * Math.PI);
        if (k === 0) return;
        const [px, py, pr] = discs[k - 1], distance = Math.hypot(x - px, y - py);
        if (distance <= Math.abs(r - pr)) return; // one holds the other
        const ux = (x - px) / distance, uy = (y - py) / distance;
        const cos = (pr - r) / distance, sin = Math.sqrt(1 - cos * cos);
        const lx = cos * ux + sin * uy, ly = cos * uy - sin * ux; // normals of the two tangents
        const rx = cos * ux - sin * uy, ry = cos * uy + sin * ux;
        path.moveTo(px + pr * lx, py + pr * ly);
        path.lineTo(x + r * lx, y + r * ly);
        path.lineTo(x + r * rx, y + r * ry);
        path.lineTo(px + pr * rx, py + pr * ry);
        path.closePath();
      });
      return path;
    }

    draw(context, i) {
      const stroke = this.stroke(i), scale = context.getTransform().a;
      if (Math.max(...stroke.radius) * scale < 0.005 || Math.max(...stroke.opacity) < SAME / 2) return;
      context.fillStyle = this.paint(context, stroke);
      context.fill(this.path(this.discs(stroke, scale)));
    }

    /** The paint of a stroke: one colour, or a gradient in which each point has the opacity of the last disc over it. */
    paint(context, { start, control, end, radius, opacity, colour }) {
      const [first, last] = opacity, stop = (alpha) => css(...colour, alpha);
      const length = Math.hypot(end[0] - start[0], end[1] - start[1]);
      if (Math.abs(first - last) <= SAME || radius[1] - radius[0] >= length) return stop(last);
      if (radius[0] - radius[1] > 1.02 * length) { // the last disc lies inside the first
        const gradient = context.createRadialGradient(...end, radius[1], ...start, radius[0]);
        gradient.addColorStop(0, stop(last));
        gradient.addColorStop(1, stop(first));
        return gradient;
      }
      const x = (end[0] - start[0]) / length, y = (end[1] - start[1]) / length;
      const along = (px, py) => (px - start[0]) * x + (py - start[1]) * y;
      const middle = [0, 1].map((k) => (start[k] + 2 * control[k] + end[k]) / 4);
      const begin = -AHEAD * radius[0]; // where each disc begins to be the last one
      const half = Math.max(begin, along(...middle) - AHEAD * (radius[0] + radius[1]) / 2);
      const reach = Math.max(half, length - AHEAD * radius[1]) - begin;
      const at = (d) => [start[0] + d * x, start[1] + d * y];
      const gradient = context.createLinearGradient(...at(begin), ...at(begin + Math.max(reach, 0.005)));
      gradient.addColorStop(0, stop(first));
      gradient.addColorStop(Math.min(1, (half - begin) / Math.max(reach, 0.005)), stop((first + last) / 2));
      gradient.addColorStop(1, stop(last));
      return gradient;
    }
  }

  /** Marks of brushes without a formula: the opacity of each as a part of one picture, coloured once. */
  class Marks {
    /**
     * @param boxes Int16Array of six numbers for each stroke: x, y, width, height in the sheet, x, y on the canvas
     * @param colours Uint8Array of three for each stroke; null where the sheet has its own colours
     * @param sheet ImageBitmap
     * @param scale pixels of the drawing in a pixel of the sheet
     */
    constructor(width, height, background, boxes, colours, sheet, scale) {
      Object.assign(this, { width, height, background, boxes, scale, count: boxes.length / 6 });
      this.sheet = document.createElement("canvas");
      this.sheet.width = sheet.width;
      this.sheet.height = sheet.height;
      const context = this.sheet.getContext("2d", { willReadFrequently: true });
      context.drawImage(sheet, 0, 0);
      if (colours === null) return;
      for (let i = 0; i < this.count; i++) {
        const [x, y, w, h] = this.box(i);
        if (w * h === 0) continue;
        const image = context.getImageData(x, y, w, h), { data } = image;
        for (let p = 0; p < data.length; p += 4) {
          data[p + 3] = data[p];
          for (let k = 0; k < 3; k++) data[p + k] = colours[3 * i + k];
        }
        context.putImageData(image, x, y);
      }
    }

    box(i) {
      return this.boxes.subarray(6 * i, 6 * i + 6);
    }

    draw(context, i) {
      const [x, y, w, h, left, top] = this.box(i), s = this.scale;
      if (w * h === 0) return;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.sheet, x, y, w, h, left * s, top * s, w * s, h * s);
    }
  }

  /** The drawing of a coded painting. */
  async function decode({ width, height, background, curves, marks }) {
    if (curves !== undefined) {
      const codes = new Uint16Array(bytesOf(curves).buffer);
      return new Curves(width, height, background, Float32Array.from(codes, (code) => code / 65535));
    }
    const sheet = await createImageBitmap(new Blob([bytesOf(marks.sheet)], { type: "image/webp" }), {
      premultiplyAlpha: "default", colorSpaceConversion: "none",
    });
    const colours = marks.colours === null ? null : bytesOf(marks.colours);
    return new Marks(width, height, background, new Int16Array(bytesOf(marks.boxes).buffer), colours, sheet, marks.scale);
  }

  /** Shows the first n strokes of a drawing in a canvas; copies on the way make steps back fast. */
  class View {
    constructor(canvas, drawing) {
      this.canvas = canvas;
      this.context = canvas.getContext("2d", { alpha: false });
      this.set(drawing);
    }

    /** Another drawing, of which nothing is drawn yet. */
    set(drawing) {
      this.drawing = drawing;
      this.copies = new Map();
      this.shown = -1;
    }

    /** Give the canvas so many pixels; draws all again where that changes it. */
    resize(width, height) {
      if (this.canvas.width === width && this.canvas.height === height) return;
      this.canvas.width = width;
      this.canvas.height = height;
      const shown = this.shown;
      this.set(this.drawing);
      if (shown >= 0) this.show(shown);
    }

    show(n) {
      const { context, canvas, drawing } = this, every = Math.max(32, Math.ceil(drawing.count / SNAPSHOTS));
      n = Math.max(0, Math.min(drawing.count, n));
      if (n === this.shown) return;
      if (this.shown < 0 || n < this.shown) {
        const near = Math.floor(n / every) * every, copy = this.copies.get(near);
        context.setTransform(1, 0, 0, 1, 0, 0);
        if (copy && near > 0) {
          context.drawImage(copy, 0, 0);
          this.shown = near;
        } else {
          context.fillStyle = css(...drawing.background);
          context.fillRect(0, 0, canvas.width, canvas.height);
          this.shown = 0;
        }
      }
      context.setTransform(canvas.width / drawing.width, 0, 0, canvas.height / drawing.height, 0, 0);
      while (this.shown < n) {
        drawing.draw(context, this.shown++);
        if (this.shown % every === 0 && !this.copies.has(this.shown)) {
          const copy = document.createElement("canvas");
          copy.width = canvas.width;
          copy.height = canvas.height;
          copy.getContext("2d", { alpha: false }).drawImage(canvas, 0, 0);
          this.copies.set(this.shown, copy);
        }
      }
    }
  }

  return { Curves, Marks, View, decode, css };
})();
