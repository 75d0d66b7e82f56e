// What plot and schedule share: scales, round steps and axes as SVG.

import { s } from "./dom.js";

/** The least round number not below `value`, of a kind that halves well. */
export function roundUp(value) {
  const steps = [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10];
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return power * steps.find((step) => step * power >= value - 1e-9);
}

const TIME_STEPS_S = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200];

/** Round moments (ms) between two moments, at most `most` of them, on whole steps of the reader's clock. */
export function timeTicks(from, to, most) {
  const step = 1000 * (TIME_STEPS_S.find((each) => (to - from) / 1000 / each <= most) ?? 86400);
  const zone = new Date(from).getTimezoneOffset() * 60000;
  const ticks = [];
  for (let at = Math.ceil((from - zone) / step) * step + zone; at <= to; at += step) ticks.push(at);
  return { ticks, step };
}

/** A linear map from [from, to] to [start, end]. */
export function scale(from, to, start, end) {
  const factor = (end - start) / (to - from || 1);
  return (value) => start + (value - from) * factor;
}

/** Room right of every picture. */
const OUTSIDE = 10;

/** Horizontal lines with their values at the left. */
export function valueAxis(y, values, left, right, format) {
  return s("g", { class: "axis" }, ...values.flatMap((value) => [
    s("line", { x1: left, x2: right, y1: y(value), y2: y(value), class: value === 0 ? "zero" : "grid" }),
    s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, format(value)),
  ]));
}

/** Of a letter, at most; half of it is one side of a text in the middle. */
const LETTER_WIDTH = 7.8;

/** Times below a line at `bottom`; one that would stick out at the right has its mark only. */
export function timeAxis(x, ticks, bottom, right, format) {
  return s("g", { class: "axis" }, ...ticks.flatMap((at) => {
    const fits = x(at) + (LETTER_WIDTH / 2) * format(at).length <= right + OUTSIDE;
    return [
      s("line", { x1: x(at), x2: x(at), y1: bottom, y2: bottom + 4, class: "grid" }),
      fits && s("text", { x: x(at), y: bottom + 16, "text-anchor": "middle" }, format(at)),
    ];
  }).filter(Boolean));
}

export const round = (value) => Math.round(value * 10) / 10;
