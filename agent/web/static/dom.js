// Short ways to make and change elements. Text is always set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `props`: attributes; `on` = {event: listener}; true = present, false/null = absent. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Change a text only when it is another one: a screen reader reads what changed. */
export function setText(element, text) {
  const wanted = text ?? "";
  if (element.textContent !== wanted) element.textContent = wanted;
}

export function setHidden(element, isHidden) {
  if (element.hidden !== isHidden) element.hidden = isHidden;
}

export function setTone(element, tone) {
  if (element.dataset.tone !== tone) element.dataset.tone = tone;
}

const GATHERED_MS = 150;
let toSay = [];

/** Say it to a screen reader; what comes together is said together, and nothing of it is lost. */
export function announce(text) {
  toSay.push(text);
  if (toSay.length > 1) return;
  byId("announcer").textContent = "";
  setTimeout(() => { byId("announcer").textContent = toSay.splice(0).join(" "); }, GATHERED_MS);
}

/** May it be reached with the keyboard now? */
export const isShown = (element) => element !== null && element.isConnected && element.getClientRects().length > 0 && !element.disabled;

const ICONS = {
  bolt: "M13 2 5 13.5h5.2L8.8 22 18 9.7h-5.6z",
  plug: "M8 2v5H6v4a6 6 0 0 0 5 5.9V22h2v-5.1A6 6 0 0 0 18 11V7h-2V2h-2v5h-4V2z",
  pause: "M7 4h4v16H7zM14 4h4v16h-4z",
  card: "M3 5h18a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1zm1 4v2h16V9zm1 5v2h6v-2z",
  done: "M9.5 18.5 3.5 12.5l2-2 4 4L18.5 5.5l2 2z",
  warn: "M12 2.5 23 21H1zM11 9v6h2V9zm0 7.5v2h2v-2z",
  off: "M12 2a10 10 0 1 1 0 20 10 10 0 0 1 0-20zM6 11v2h12v-2z",
  clock: "M12 2a10 10 0 1 1 0 20 10 10 0 0 1 0-20zm-1 4v7l5 3 1-1.7-4-2.3V6z",
};

/** A picture beside a word; a screen reader does not see it. */
export function icon(name) {
  return s("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", "data-icon": name },
    s("path", { d: ICONS[name] ?? ICONS.off, "fill-rule": "evenodd" }));
}

/** Give the focus to a button; when that is gone now ("Stop session"), to what stands beside it. */
export function focusOrBeside(button) {
  const beside = isShown(button) ? button : [...(button?.closest(".buttons")?.querySelectorAll("button") ?? [])].find(isShown);
  (beside ?? byId("content")).focus({ preventScroll: true });
}

/** A labelled field: label above, control below, room for what is wrong with it. */
export function field(label, control, hint = "") {
  const id = control.id || `field-${++fieldNumber}`;
  control.id = id;
  const note = h("span", { class: "muted field-hint", id: `${id}-hint` }, hint);
  if (hint) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: id }, label), control, hint ? note : null);
}
let fieldNumber = 0;
