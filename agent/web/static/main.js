// The page: one stream in, every part of the page told. Which part is seen stands in the address (#messages).

import { ActionsView } from "./actions.js";
import { whenUnauthorized } from "./api.js";
import { report } from "./dialog.js";
import { announce, byId, h, setHidden, setText, setTone } from "./dom.js";
import { EvseCard, faultBox } from "./evse.js";
import { duration, timeOfDay } from "./format.js";
import { Messages } from "./messages.js";
import { Overview } from "./overview.js";
import { Operations } from "./progress.js";
import { SessionsView } from "./sessions.js";
import { SettingsView } from "./settings.js";
import { Account } from "./signin.js";
import { Simulation } from "./simulation.js";
import { StationView } from "./station.js";
import { Stream } from "./stream.js";
import { csmsWords, versionWords } from "./words.js";

const VIEWS = ["now", "sessions", "messages", "settings", "actions", "station"];

const cards = new Map();
let simulation = null;
let lastStatus = null;
let skewMs = 0;
let offline = null;
let wasLost = false;
let pageVersion = null;

const account = new Account(() => {
  messages.setAllowed(account.can("operator"));
  if (lastStatus) show(lastStatus);
  if (opened[view()]) opened[view()].open();
});
const context = { can: (role) => account.can(role), skew: () => skewMs, isOnly: () => cards.size < 2 };
const messages = new Messages(byId("view-messages"));
const station = new StationView(byId("view-station"), context);
const overview = new Overview(byId("overview"));
const operations = new Operations(byId("progress"));
const opened = {
  sessions: new SessionsView(byId("view-sessions"), context),
  settings: new SettingsView(byId("view-settings"), context),
  actions: new ActionsView(byId("view-actions"), context),
};

const stream = new Stream("/api/v1/events?messages=true", {
  status: show,
  message: (message) => messages.add(message),
  schedule: () => { for (const card of cards.values()) card.schedule.load(); },
  progress: (progress) => operations.show(progress),
  page: reloadWhenOther,
  fact: tellFact,
  live: showLive,
  refused: signInIfNeeded,
});

function show(status, isFirst = false) {
  lastStatus = status;
  if (isFirst) operations.forget(); // those under way are told again
  const at = Date.parse(status.at);
  skewMs = Date.now() - at;
  setText(byId("station-name"), status.station.identity);
  setText(byId("station-model"), [status.station.vendor, status.station.model].filter(Boolean).join(" "));
  showCsms(status);
  showNotices(status);
  showEvses(status, at);
  overview.update(status, cards);
  const states = new Set(status.evses.map((evse) => cards.get(evse.evse_id).state.title));
  const title = `${[...states].join(", ")} · ${status.station.identity}`;
  if (document.title !== title) document.title = title;
  station.update(status);
  if (status.station.is_simulated && !simulation && account.can("installer")) simulation = new Simulation(byId("simulation"), status.evses.map((evse) => evse.evse_id));
  simulation?.update(status);
  document.body.classList.toggle("is-simulated", simulation !== null);
}

function showEvses(status, at) {
  const place = byId("evses");
  if (cards.size === 0) place.replaceChildren();
  for (const evse of status.evses) {
    if (!cards.has(evse.evse_id)) {
      const card = new EvseCard(evse.evse_id, status.evses.length === 1, context);
      cards.set(evse.evse_id, card);
      place.append(card.element);
    }
    cards.get(evse.evse_id).update(evse, status, at);
  }
  if (wasLost) {
    wasLost = false;
    for (const card of cards.values()) {
      card.loadHistory();
      card.schedule.load();
    }
  }
}

function showCsms(status) {
  const words = csmsWords(status);
  const pill = byId("csms-pill");
  setHidden(pill, false);
  setTone(pill, words.tone);
  const waiting = status.outbox_depth ? ` · ${status.outbox_depth} waiting` : "";
  const version = versionWords(status.subprotocol);
  setText(pill, `${words.text}${version ? ` · ${version}` : ""}${waiting}`);
  pill.title = words.hint;
}

function showNotices(status) {
  const place = byId("station-notices");
  const boxes = [];
  if (!status.station.is_operative) boxes.push(["out", () => h("p", { class: "notice", "data-tone": "off" }, "The whole station is out of service.")]);
  for (const fault of status.station.faults) boxes.push([fault.code, () => faultBox(fault)]);
  const key = boxes.map(([name]) => name).join();
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  place.replaceChildren(...boxes.map(([, build]) => build()));
}

function showLive(isLive, { since, retryAt }) {
  const pill = byId("live-pill");
  const notice = byId("not-live");
  clearInterval(offline);
  document.body.classList.toggle("is-stale", !isLive && lastStatus !== null);
  setTone(pill, isLive ? "charging" : "attention");
  setText(pill, isLive ? "Live" : lastStatus ? "Not live" : "Connecting");
  if (isLive) {
    if (!notice.hidden) announce("The page is live again.");
    setHidden(notice, true);
    return;
  }
  if (!lastStatus) return;
  wasLost = true;
  if (notice.hidden) { // a try that failed is not told again
    notice.replaceChildren(
      h("p", {}, h("strong", {}, "Not live. "), `What is shown is of ${timeOfDay(since)}. `, h("span", { class: "next-try", "aria-hidden": "true" })),
      h("button", { type: "button", on: { click: () => stream.open() } }, "Try now"));
    setHidden(notice, false);
  }
  const count = () => {
    const left = Math.round((retryAt - Date.now()) / 1000);
    setText(notice.querySelector(".next-try"), left > 0 ? `Next try in ${duration(left)}.` : "Trying to reach the station …");
  };
  count();
  offline = setInterval(count, 1000);
}

async function signInIfNeeded() {
  try {
    if (!(await account.learn())) await letIn();
  } catch {
    // Not reachable at all: the stream tries again.
  }
}

async function letIn() {
  setText(byId("live-pill"), "Signed out");
  if (!lastStatus) setText(document.querySelector("#evses .placeholder"), "Sign in to see the station.");
  await account.signIn();
  if (account.can("viewer")) stream.open();
}

function tellFact(fact) {
  if (view() === "sessions" && fact.fact.startsWith("Transaction")) opened.sessions.open();
  if (fact.fact === "TokenRefused") report(`Card ${fact.id_token.value} was refused: ${fact.reason}.`, "attention");
}

/** The station was updated while the page was open: its old scripts would not understand the new words. */
function reloadWhenOther({ version }) {
  pageVersion ??= version;
  if (version !== pageVersion) location.reload();
}

function view() {
  const wanted = location.hash.slice(1);
  return VIEWS.includes(wanted) ? wanted : "now";
}

function route() {
  const wanted = view();
  for (const name of VIEWS) {
    setHidden(byId(`view-${name}`), name !== wanted);
    const tab = document.querySelector(`.tabs [data-view="${name}"]`);
    if (name === wanted) {
      tab.setAttribute("aria-current", "page");
      tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else {
      tab.removeAttribute("aria-current");
    }
  }
  opened[wanted]?.open();
}

addEventListener("hashchange", () => {
  if (location.hash === "#content") return;
  route();
  scrollTo(0, 0);
});
whenUnauthorized(() => { if (!account.isAsking) letIn(); });
route();
stream.open();
account.learn().then((mayLook) => { if (!mayLook) letIn(); }).catch(() => {});
