// What may be drawn in the next 24 hours, as a picture and in one sentence.

import { get } from "./api.js";
import { round, roundUp, scale, timeAxis, timeTicks, valueAxis } from "./axes.js";
import { h, s, setText } from "./dom.js";
import { number, timeOfDay } from "./format.js";

const DAY_S = 86400;
const LEFT = 42;
const RIGHT = 14;
const TOP = 12;
const BOTTOM = 92;
const HEIGHT = 118;
const LEAST_A = 6;
const STALE_MS = 15 * 60000;

export class Schedule {
  constructor(evseId) {
    this.evseId = evseId;
    this.plan = null;
    this.width = 0;
    this.fetchedAt = 0;
    this.words = h("p", { class: "muted schedule-words" }, "Reading the schedule …");
    this.svg = s("svg", { class: "schedule", height: HEIGHT, "aria-hidden": "true" });
    this.element = h("div", { class: "schedule-box" }, this.svg, this.words);
    new ResizeObserver(([entry]) => {
      if (Math.abs(entry.contentRect.width - this.width) < 1) return;
      this.width = entry.contentRect.width;
      this.render();
    }).observe(this.element);
  }

  /** Fetch it again: something changed what may be drawn. */
  async load() {
    this.fetchedAt = Date.now();
    try {
      this.plan = await get(`/api/v1/evses/${this.evseId}/schedule?duration_s=${DAY_S}`);
      this.render();
    } catch (error) {
      this.plan = null;
      this.svg.replaceChildren();
      setText(this.words, error.message);
    }
  }

  /** The day moves on: the end of the picture has to be fetched now and then. */
  tick() {
    if (this.fetchedAt && Date.now() - this.fetchedAt > STALE_MS) this.load();
  }

  render() {
    if (!this.plan || this.width < 60) return;
    const from = Date.parse(this.plan.starts_at);
    const to = from + this.plan.duration_s * 1000;
    const unit = this.plan.unit;
    const pieces = this.plan.periods.map((each, index) => ({
      from: from + each.start_s * 1000,
      to: index + 1 < this.plan.periods.length ? from + this.plan.periods[index + 1].start_s * 1000 : to,
      limit: each.limit,
    }));
    const most = roundUp(Math.max(unit === "A" ? LEAST_A : 1000, ...pieces.map((each) => each.limit)) * 1.05);
    const right = this.width - RIGHT;
    const x = scale(from, to, LEFT, right);
    const y = scale(0, most, BOTTOM, TOP);
    const { ticks } = timeTicks(from, to, Math.max(3, Math.floor(this.width / 80)));
    const isPause = (piece) => unit === "A" && piece.limit < LEAST_A;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.setAttribute("width", this.width);
    this.svg.replaceChildren(
      s("defs", {}, s("pattern", { id: `pause-${this.evseId}`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        s("rect", { width: 2, height: 6, class: "pause-stripe" }))),
      valueAxis(y, [0, most / 2, most], LEFT, right, (value) => `${round(value)}`),
      ...pieces.map((piece) => s("rect", {
        x: round(x(piece.from)), width: Math.max(0, round(x(piece.to) - x(piece.from))),
        y: isPause(piece) ? TOP : round(y(piece.limit)), height: isPause(piece) ? BOTTOM - TOP : Math.max(0, round(y(0) - y(piece.limit))),
        class: isPause(piece) ? "" : "allowed", fill: isPause(piece) ? `url(#pause-${this.evseId})` : null,
      })),
      s("path", { class: "allowed-line", d: pieces.map((piece, index) => `${index ? "V" : "M" + round(x(piece.from)) + " "}${round(y(piece.limit))}H${round(x(piece.to))}`).join("") }),
      timeAxis(x, ticks, BOTTOM, right, (at) => timeOfDay(at, false)),
    );
    setText(this.words, this.inWords(pieces, unit));
  }

  inWords(pieces, unit) {
    const amount = (piece) => (isNothing(piece, unit) ? "a pause" : `${number(piece.limit, piece.limit % 1 ? 1 : 0)} ${unit}${unit === "A" ? " per phase" : ""}`);
    if (pieces.length === 1) return `Up to ${amount(pieces[0])}, the whole day.`.replace("Up to a pause", "A pause");
    const shown = pieces.slice(0, 6);
    const parts = shown.map((piece, index) => (index ? `from ${timeOfDay(piece.from, false)} on ${amount(piece)}` : `Now ${amount(piece)}`));
    return `${parts.join(", ")}${pieces.length > shown.length ? ` and ${pieces.length - shown.length} more changes` : ""}.`;
  }
}

function isNothing(piece, unit) {
  return unit === "A" ? piece.limit < LEAST_A : piece.limit <= 0;
}
