// The last sessions that the station recorded; each opens its plot.

import { get } from "./api.js";
import { h, setHidden, setText } from "./dom.js";
import { clockDuration, energy, moment, powerText } from "./format.js";
import { ENDED_SPAN_MS, Plot } from "./plot.js";
import { stopWords } from "./words.js";

const MOST_SHOWN = 20;

export class SessionsView {
  constructor(place, context) {
    this.context = context;
    this.rows = new Map();
    this.list = h("ol", { class: "sessions" });
    this.note = h("p", { class: "muted placeholder" }, "Reading the record …");
    place.append(
      h("div", { class: "view-head" }, h("h2", { id: "sessions-title" }, "Sessions"), h("p", { class: "muted" }, `The last ${MOST_SHOWN}, newest first`)),
      h("div", { class: "card flush" }, this.note, this.list));
  }

  /** Fetch the list; sessions that are open stay open. */
  async open() {
    try {
      const { sessions } = await get(`/api/v1/sessions?limit=${MOST_SHOWN}`);
      const rows = sessions.map((session) => this.rows.get(session.session_id) ?? new Row(session.session_id, this.context));
      rows.forEach((row, index) => row.update(sessions[index]));
      this.rows = new Map(rows.map((row) => [row.id, row]));
      if (rows.some((row, index) => this.list.children[index] !== row.element) || this.list.children.length !== rows.length) {
        this.list.replaceChildren(...rows.map((row) => row.element));
      }
      setText(this.note, "No session yet.");
      setHidden(this.note, sessions.length > 0);
    } catch (error) {
      this.list.replaceChildren();
      setText(this.note, error.status === 404 ? "This station records no sessions." : error.message);
      setHidden(this.note, false);
    }
  }
}

class Row {
  constructor(id, context) {
    this.id = id;
    this.context = context;
    this.plot = null;
    this.began = h("time");
    this.where = h("span", { class: "muted" });
    this.amount = h("strong");
    this.length = h("span");
    this.end = h("span", { class: "muted" });
    this.words = h("p", { class: "muted" });
    this.body = h("div", { class: "session-body" }, this.words);
    this.element = h("li", {}, h("details", { class: "fold", on: { toggle: (event) => event.target.open && this.draw() } },
      h("summary", {}, this.began, this.amount, this.length, this.where, this.end), this.body));
  }

  update(session) {
    const hasEnded = this.session?.is_running && !session.is_running;
    this.session = session;
    const charged = energy(session.energy_wh);
    this.began.setAttribute("datetime", session.started_at);
    setText(this.began, moment(session.started_at));
    setText(this.amount, `${charged.value} ${charged.unit}`);
    setText(this.length, clockDuration(session.duration_s));
    const place = this.context.isOnly() ? "" : `Charging point ${session.evse_id}`;
    setText(this.where, [place, session.id_token ? `Card ${session.id_token}` : "No card"].filter(Boolean).join(", "));
    setText(this.end, session.is_running ? "still running" : session.stop_reason ? stopWords(session.stop_reason) : "");
    setText(this.words, wordsOf(session));
    if (hasEnded && this.plot) this.draw();
  }

  async draw() {
    if (!this.plot) {
      this.plot = new Plot(`the session of ${moment(this.session.started_at)}`, "Reading the record …");
      this.body.append(this.plot.element);
    }
    try {
      const { samples } = await get(`/api/v1/sessions/${encodeURIComponent(this.id)}`);
      this.plot.setEmptyWords("Nothing was measured in it.");
      this.plot.draw(samples.map((each) => ({ ...each, at: Date.parse(each.at) })), this.session.is_running ? undefined : ENDED_SPAN_MS);
    } catch (error) {
      this.plot.setEmptyWords(error.message);
      this.plot.draw([]);
    }
  }
}

function wordsOf(session) {
  const paused = session.suspended_ev_s + session.suspended_evse_s;
  const parts = [
    session.stopped_at ? `Ended ${moment(session.stopped_at)}` : "Still running",
    session.max_power_w === null ? "" : `highest power ${powerText(session.max_power_w)}`,
    `charged for ${clockDuration(session.charging_s)}`,
    paused >= 1 ? `paused for ${clockDuration(paused)}` : "",
    session.reference ? `transaction ${session.reference} at the CSMS` : "",
    session.cost ?? "",
  ];
  return `${parts.filter(Boolean).join(", ")}.`;
}
