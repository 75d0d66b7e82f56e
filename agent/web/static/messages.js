// OCPP messages as they flow: newest first, filtered by action, direction and text, each with its JSON.

import { announce, h, setHidden, setText } from "./dom.js";
import { moment, timeOfDay } from "./format.js";

const MOST_SHOWN = 300;
/** Of messages that came, also of those that were cleared: the stream tells the latest again when it begins anew. */
const MOST_REMEMBERED = 2000;
const TYPE_WORDS = { call: "asks", result: "answers", error: "answers with an error", malformed: "sends something malformed" };

export class Messages {
  constructor(place) {
    this.kept = [];
    this.waiting = [];
    this.isPaused = false;
    this.seen = new Set();
    this.nothing = "No message yet.";
    this.actions = new Set();
    this.action = h("select", { on: { change: () => this.redraw() } }, h("option", { value: "" }, "Every action"));
    this.direction = h("select", { on: { change: () => this.redraw() } }, h("option", { value: "" }, "Both directions"),
      h("option", { value: "out" }, "From the station"), h("option", { value: "in" }, "From the CSMS"));
    this.text = h("input", { type: "search", placeholder: "Text in the message", on: { input: () => this.redraw() } });
    this.pause = h("button", { type: "button", "aria-pressed": "false", on: { click: () => this.setPaused(!this.isPaused) } }, "Pause");
    this.clear = h("button", { type: "button", on: { click: () => this.forget() } }, "Clear");
    this.count = h("p", { class: "muted" });
    this.list = h("ol", { class: "messages" });
    this.empty = h("p", { class: "muted placeholder" }, this.nothing);
    place.append(
      h("div", { class: "view-head" }, h("h2", { id: "messages-title" }, "OCPP messages"), this.count),
      h("div", { class: "toolbar", role: "group", "aria-label": "Filter" },
        labelled("Action", this.action), labelled("Direction", this.direction), labelled("Search", this.text),
        h("div", { class: "buttons" }, this.pause, this.clear)),
      h("div", { class: "card flush" }, this.empty, this.list));
  }

  /** A viewer gets none: the cards of drivers stand in them. */
  setAllowed(isAllowed) {
    this.nothing = isAllowed ? "No message yet." : "Messages are for operators and installers: the cards of drivers stand in them.";
    this.tell();
  }

  /** A message of the stream; one that was there before (the stream began anew) counts once. */
  add(message) {
    const name = `${message.number} ${message.at}`;
    if (this.seen.has(name)) return;
    this.seen.add(name);
    if (this.seen.size > MOST_REMEMBERED) this.seen.delete(this.seen.values().next().value);
    this.kept.push(message);
    if (this.kept.length > MOST_SHOWN) this.kept.shift();
    if (message.action && !this.actions.has(message.action)) this.learn(message.action);
    if (this.isPaused) this.waiting.push(message);
    else if (this.fits(message)) this.show(message);
    this.tell();
  }

  learn(action) {
    this.actions.add(action);
    const chosen = this.action.value;
    this.action.replaceChildren(h("option", { value: "" }, "Every action"),
      ...[...this.actions].sort().map((each) => h("option", { value: each }, each)));
    this.action.value = chosen;
  }

  fits(message) {
    const text = this.text.value.trim().toLowerCase();
    return (!this.action.value || message.action === this.action.value)
      && (!this.direction.value || message.direction === this.direction.value)
      && (!text || `${message.action} ${message.message_id} ${JSON.stringify(message.payload)}`.toLowerCase().includes(text));
  }

  show(message) {
    this.list.prepend(row(message));
    while (this.list.children.length > MOST_SHOWN) this.list.lastChild.remove();
  }

  forget() {
    this.kept = [];
    this.redraw();
  }

  redraw() {
    if (this.isPaused) this.setPaused(false);
    this.list.replaceChildren(...this.kept.filter((each) => this.fits(each)).reverse().map(row));
    this.tell();
    announce(this.count.textContent);
  }

  setPaused(isPaused) {
    this.isPaused = isPaused;
    this.pause.setAttribute("aria-pressed", isPaused);
    setText(this.pause, isPaused ? "Go on" : "Pause");
    for (const message of this.waiting.splice(0)) if (this.fits(message)) this.show(message);
    this.tell();
  }

  tell() {
    setHidden(this.empty, this.list.children.length > 0);
    setText(this.empty, this.kept.length ? "No message fits the filter." : this.nothing);
    const shown = this.list.children.length;
    const waits = this.isPaused ? `, paused, ${this.waiting.length} waiting` : "";
    setText(this.count, `${shown} of ${this.kept.length} shown${waits}`);
  }
}

function row(message) {
  const isOut = message.direction === "out";
  const who = isOut ? "Station" : "CSMS";
  const body = h("pre", { tabindex: "0" });
  const details = h("details", {
    on: { toggle: () => { if (!body.textContent) body.textContent = JSON.stringify(message.payload, null, 2); } },
  }, h("summary", {},
    h("time", { datetime: message.at, title: moment(message.at) }, timeOfDay(message.at)),
    h("span", { class: `way ${isOut ? "out" : "in"}` }, h("span", { "aria-hidden": "true" }, isOut ? "↑" : "↓"), ` ${who}`),
    h("span", { class: `what ${message.type}` }, h("strong", {}, message.action || "Unknown"), ` ${TYPE_WORDS[message.type] ?? message.type}`),
    h("span", { class: "gist" }, gist(message.payload))), body);
  return h("li", {}, details);
}

/** The beginning of the content in one line. */
function gist(payload) {
  if (typeof payload === "string") return payload.slice(0, 160);
  return Object.entries(payload ?? {}).map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ").slice(0, 160);
}

function labelled(label, control) {
  return h("label", { class: "inline-field" }, h("span", {}, label), control);
}
