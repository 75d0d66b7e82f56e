// Numbers and times as a person reads them. Times of the station are UTC; shown is the time of the reader's clock.

const MINUS = "\u2013";
export const NONE = MINUS;

export function number(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });
}

/** Power in W as {value, unit}: below 1 kW in whole watts. */
export function power(watts) {
  if (watts === null || watts === undefined) return { value: NONE, unit: "kW" };
  if (Math.round(Math.abs(watts)) < 1000) return { value: number(watts), unit: "W" };
  return { value: number(watts / 1000, watts < 100000 ? 2 : 1), unit: "kW" };
}

export function powerText(watts) {
  const { value, unit } = power(watts);
  return `${value} ${unit}`;
}

export function energy(wattHours) {
  if (wattHours === null || wattHours === undefined) return { value: NONE, unit: "kWh" };
  if (Math.round(wattHours) < 1000) return { value: number(wattHours), unit: "Wh" };
  return { value: number(wattHours / 1000, 2), unit: "kWh" };
}

export function current(amperes) {
  return number(amperes, 1);
}

/** Seconds as 0:07, 12:43 or 3:05:09. */
export function clockDuration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (part) => String(part).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Seconds in words: 8 s, 3 min, 2 h 5 min. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const all = Math.round(whole / 60);
  if (all < 60) return `${all} min`;
  const hours = Math.floor(all / 60);
  const minutes = all % 60;
  return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
}

const two = (part) => String(part).padStart(2, "0");

/** 14:03 or, with seconds, 14:03:09. */
export function timeOfDay(at, hasSeconds = true) {
  const date = at instanceof Date ? at : new Date(at);
  const text = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return hasSeconds ? `${text}:${two(date.getSeconds())}` : text;
}

/** The time alone today, with the day before it otherwise. */
export function moment(at) {
  const date = at instanceof Date ? at : new Date(at);
  const today = new Date();
  if (date.toDateString() === today.toDateString()) return timeOfDay(date);
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return `${day}, ${timeOfDay(date, false)}`;
}

export function sentence(text) {
  return text ? text.charAt(0).toUpperCase() + text.slice(1) : "";
}
