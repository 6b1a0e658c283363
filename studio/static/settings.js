// The controls of a painting's settings: presets first, sliders beneath.

const $ = (id) => document.getElementById(id);
const percent = (value) => `${(100 * value).toFixed(1).replace(/\.0$/, "")} %`;

// How each slider's value is shown, and turned into a setting.
const SLIDERS = {
  strokes: { show: (v) => v.toLocaleString("en"), read: Number },
  min_radius: { show: (v) => (v === 0 ? "any" : percent(v)), read: Number },
  max_radius: { show: percent, read: Number },
  palette: { show: (v) => (v === 0 ? "all" : `${v}`), read: (v) => (v === "0" ? "" : v), write: (v) => (/^\d+$/.test(v) ? v : 0) },
  opacity: { show: (v) => (v === 0 ? "any" : v === 1 ? "opaque" : `≥ ${percent(v)}`), read: Number },
  steps: { show: (v) => v.toLocaleString("en"), read: Number },
};

export class SettingsPanel {
  /**
   * @param hello what the server says first
   * @param changed called after every change
   */
  constructor(hello, changed) {
    this.changed = changed;
    this.presets = hello.presets;
    this.settings = { ...hello.presets[0].settings };
    for (const preset of hello.presets) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: preset.title, title: preset.about });
      button.setAttribute("role", "radio");
      button.dataset.preset = preset.name;
      button.addEventListener("click", () => this.set(preset.settings));
      $("presets").append(button);
    }
    $("presets").addEventListener("keydown", (event) => roving(event, $("presets")));
    for (const brush of hello.brushes) $("set-brush").append(new Option(brush.replace("+", " + "), brush));
    $("set-max_radius").max = hello.largest_radius;
    $("set-strokes").max = Math.min(2000, hello.most_strokes);
    for (const [name, { read }] of Object.entries(SLIDERS)) {
      $(`set-${name}`).addEventListener("input", () => this.change({ [name]: read($(`set-${name}`).value) }));
    }
    for (const name of ["brush", "method"]) $(`set-${name}`).addEventListener("change", () => this.change({ [name]: $(`set-${name}`).value }));
    $("set-ground").addEventListener("change", () => {
      const kind = $("set-ground").value;
      this.change({ background: kind === "own" ? $("set-background").value : kind });
    });
    $("set-background").addEventListener("input", () => this.change({ background: $("set-background").value }));
    this.set(this.settings);
  }

  change(values) {
    const next = { ...this.settings, ...values };
    if ("brush" in values) next.blend = null; // of a mixture
    if ("strokes" in values) next.size = null; // what suits the number
    if ("min_radius" in values) next.max_radius = Math.max(next.max_radius, next.min_radius);
    if ("max_radius" in values) next.min_radius = Math.min(next.min_radius, next.max_radius);
    this.set(next);
  }

  set(settings) {
    this.settings = { ...settings };
    for (const [name, { show, write }] of Object.entries(SLIDERS)) {
      const input = $(`set-${name}`), value = settings[name];
      input.value = write ? write(value) : value;
      const text = name === "palette" && write(value) === 0 && value !== "" ? "own" : show(Number(input.value));
      input.nextElementSibling.textContent = text;
      input.setAttribute("aria-valuetext", text);
    }
    $("set-brush").value = settings.brush;
    $("set-method").value = settings.method;
    const ground = ["#ffffff", "mean"].includes(settings.background) ? settings.background : "own";
    $("set-ground").value = ground;
    $("ground-colour").hidden = ground !== "own";
    if (ground === "own") $("set-background").value = settings.background;
    $("steps-field").hidden = settings.method === "agent";
    const same = (preset) => Object.entries(preset.settings).every(([name, value]) => settings[name] === value);
    const chosen = this.presets.find(same);
    $("preset-about").textContent = chosen ? chosen.about : "Your own settings.";
    mark($("presets"), (button) => button.dataset.preset === chosen?.name);
    this.changed();
  }

  /** Whether other settings are the same. */
  same(settings) {
    return Object.entries(settings).every(([name, value]) => this.settings[name] === value);
  }
}

/** Check one radio button of a group; the checked one, or else the first, takes part in the order of Tab. */
export function mark(group, isChosen) {
  const buttons = [...group.querySelectorAll('[role="radio"]')], chosen = buttons.find(isChosen);
  for (const button of buttons) {
    button.setAttribute("aria-checked", button === chosen);
    button.tabIndex = button === (chosen ?? buttons[0]) ? 0 : -1;
  }
}

/** Arrow keys within a group of radio buttons. */
export function roving(event, group) {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  event.stopPropagation();
  const buttons = [...group.querySelectorAll('[role="radio"]')], at = buttons.indexOf(document.activeElement);
  const next = buttons[(at + by + buttons.length) % buttons.length];
  next.focus();
  next.click();
}
