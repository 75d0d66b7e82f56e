// The live plot of a session: power above, current of each phase with the offered limit below, over one time axis.

import { round, roundUp, scale, timeAxis, timeTicks, valueAxis } from "./axes.js";
import { h, s, setHidden, setText } from "./dom.js";
import { clockDuration, current, powerText, timeOfDay } from "./format.js";

const LEFT = 42;
const RIGHT = 10;
const POWER_TOP = 22;
const POWER_BOTTOM = 118;
const CURRENT_TOP = 158;
const CURRENT_BOTTOM = 254;
const HEIGHT = 280;
const LEAST_SPAN_MS = 60000;
/** Of a session that has ended. */
export const ENDED_SPAN_MS = 20000;
const PHASES = ["L1", "L2", "L3"];

export class Plot {
  /** `emptyWords`: what is said while there is nothing to draw. */
  constructor(name, emptyWords) {
    this.samples = [];
    this.cursor = null;
    this.width = 0;
    this.readout = h("p", { class: "readout", role: "status" });
    this.svg = s("svg", { class: "plot", role: "img", height: HEIGHT });
    this.empty = h("p", { class: "muted placeholder" }, emptyWords);
    this.legend = h("p", { class: "legend", "aria-hidden": "true" });
    this.frame = h("div", {
      class: "plot-frame", tabindex: "0", role: "group", "aria-label": `Plot of ${name}; the arrow keys read out values`,
      on: {
        pointermove: (event) => this.pointTo(event.clientX - this.svg.getBoundingClientRect().left),
        pointerleave: () => this.point(null),
        blur: () => this.point(null),
        keydown: (event) => this.onKey(event),
      },
    }, this.svg);
    this.element = h("div", { class: "plot-box" }, this.empty, this.frame, h("div", { class: "plot-foot" }, this.legend, this.readout));
    new ResizeObserver(([entry]) => {
      if (Math.abs(entry.contentRect.width - this.width) < 1) return;
      this.width = entry.contentRect.width;
      this.render();
    }).observe(this.element);
  }

  setEmptyWords(words) {
    setText(this.empty, words);
  }

  /** `leastSpanMs`: a session that goes on has room for its first minute. */
  draw(samples, leastSpanMs = LEAST_SPAN_MS) {
    this.samples = samples;
    this.leastSpanMs = leastSpanMs;
    this.render();
  }

  render() {
    const has = this.samples.length > 0;
    setHidden(this.empty, has);
    setHidden(this.frame, !has);
    setHidden(this.legend, !has);
    if (!has || this.width < 60) return;
    const samples = thinned(this.samples, this.width * 1.5);
    const first = samples[0].at;
    const last = Math.max(samples.at(-1).at, first + this.leastSpanMs);
    const right = this.width - RIGHT;
    const x = scale(first, last, LEFT, right);
    const mostPower = roundUp(Math.max(1000, ...samples.map((each) => each.power_w ?? 0)) * 1.05);
    const mostCurrent = roundUp(Math.max(6, ...samples.map((each) => Math.max(each.offered_a ?? 0, ...each.current_a.map(Number)))) * 1.05);
    const power = scale(0, mostPower, POWER_BOTTOM, POWER_TOP);
    const amperes = scale(0, mostCurrent, CURRENT_BOTTOM, CURRENT_TOP);
    const runs = split(samples);
    const used = PHASES.map((_name, phase) => samples.some((each) => each.current_a[phase] !== null));
    const { ticks, step } = timeTicks(first, last, Math.max(2, Math.floor(this.width / 90)));
    const line = (run, value, y) => path(run, (each) => x(each.at), (each) => value(each) === null ? null : y(value(each)));
    this.x = x;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.setAttribute("width", this.width);
    this.svg.replaceChildren(
      s("text", { x: 0, y: 12, class: "plot-title" }, "Power in kW"),
      s("text", { x: 0, y: CURRENT_TOP - 10, class: "plot-title" }, "Current in A per phase"),
      valueAxis(power, [0, mostPower / 2, mostPower], LEFT, right, (value) => round(value / 1000)),
      valueAxis(amperes, [0, mostCurrent / 2, mostCurrent], LEFT, right, round),
      ...runs.map((run) => s("path", { class: "power-area", d: area(run, x, power) })),
      ...runs.map((run) => s("path", { class: "power-line", d: line(run, (each) => each.power_w, power) })),
      ...runs.map((run) => s("path", { class: "offered-line", d: steps(run, x, amperes) })),
      ...runs.flatMap((run) => PHASES.map((name, phase) => used[phase] && s("path", {
        class: `phase-line phase-${phase + 1}`, d: line(run, (each) => each.current_a[phase], amperes),
      }))).filter(Boolean),
      timeAxis(x, ticks, CURRENT_BOTTOM, right, (at) => timeOfDay(at, step < 60000)),
      this.cursorMark = s("g", { class: "cursor" }),
    );
    const key = used.join();
    if (this.legend.dataset.key !== key) {
      this.legend.dataset.key = key;
      this.legend.replaceChildren(
        ...PHASES.filter((_name, phase) => used[phase]).map((name) => h("span", { class: `key key-${name}` }, name)),
        h("span", { class: "key key-offered" }, "offered"),
      );
    }
    this.describe(first);
    this.mark();
  }

  describe(first) {
    const now = this.samples.at(-1);
    this.svg.dataset.last = now.at;
    const most = Math.max(...this.samples.map((each) => each.power_w ?? 0));
    const drawn = now.current_a.filter((each) => each !== null).map(current).join(", ");
    this.svg.setAttribute("aria-label",
      `Over ${clockDuration((now.at - first) / 1000)}: now ${powerText(now.power_w)}, highest ${powerText(most)}; `
      + `current ${drawn} A, offered ${current(now.offered_a)} A.`);
  }

  pointTo(position) {
    if (!this.samples.length || !this.x) return;
    let nearest = 0;
    this.samples.forEach((each, index) => {
      if (Math.abs(this.x(each.at) - position) < Math.abs(this.x(this.samples[nearest].at) - position)) nearest = index;
    });
    this.point(nearest);
  }

  onKey(event) {
    const last = this.samples.length - 1;
    const leap = Math.max(1, Math.round(last / 20));
    const at = this.cursor ?? last + (event.key === "ArrowLeft" ? 1 : 0);
    const wanted = { ArrowLeft: at - leap, ArrowRight: at + leap, Home: 0, End: last, Escape: null }[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    this.point(wanted === null ? null : Math.min(last, Math.max(0, wanted)));
  }

  point(index) {
    this.cursor = index;
    this.mark();
  }

  mark() {
    const at = this.cursor === null ? null : this.samples[this.cursor];
    if (!at) {
      this.cursorMark?.replaceChildren();
      setText(this.readout, "");
      setHidden(this.legend, !this.samples.length);
      return;
    }
    setHidden(this.legend, true);
    const x = this.x(at.at);
    this.cursorMark.replaceChildren(s("line", { x1: x, x2: x, y1: POWER_TOP, y2: CURRENT_BOTTOM }));
    const phases = at.current_a.map((each, phase) => (each === null ? "" : `${PHASES[phase]} ${current(each)} A`)).filter(Boolean);
    setText(this.readout, [timeOfDay(at.at), powerText(at.power_w), ...phases, `offered ${current(at.offered_a)} A`].join(" · "));
  }
}

/** Parts without a gap: a line over a time of which nothing is known would be a lie. */
function split(samples) {
  const usual = samples.length > 2 ? (samples.at(-1).at - samples[0].at) / (samples.length - 1) : 0;
  const longest = Math.max(15000, usual * 4);
  const runs = [];
  let run = [];
  samples.forEach((each, index) => {
    if (index && each.at - samples[index - 1].at > longest) {
      runs.push(run);
      run = [];
    }
    run.push(each);
  });
  return [...runs, run];
}

function thinned(samples, most) {
  const stride = Math.ceil(samples.length / most);
  return stride <= 1 ? samples : samples.filter((_each, index) => index % stride === 0 || index === samples.length - 1);
}

function path(run, x, y) {
  let text = "";
  let isOpen = false;
  for (const each of run) {
    const height = y(each);
    if (height === null) {
      isOpen = false;
      continue;
    }
    text += `${isOpen ? "L" : "M"}${round(x(each))} ${round(height)}`;
    isOpen = true;
  }
  return text;
}

function area(run, x, y) {
  const top = run.map((each) => `L${round(x(each.at))} ${round(y(each.power_w ?? 0))}`).join("");
  return `M${round(x(run[0].at))} ${y(0)}${top}L${round(x(run.at(-1).at))} ${y(0)}Z`;
}

/** The limit jumps: it holds until the next one. */
function steps(run, x, y) {
  let text = `M${round(x(run[0].at))} ${round(y(run[0].offered_a ?? 0))}`;
  for (const each of run.slice(1)) text += `H${round(x(each.at))}V${round(y(each.offered_a ?? 0))}`;
  return text;
}
