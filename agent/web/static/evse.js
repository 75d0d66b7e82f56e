// The card of one EVSE: what it does in words, its numbers, what is wrong and what to do, plot and schedule.

import { announce, h, icon, setHidden, setText, setTone } from "./dom.js";
import { clockDuration, current, energy, moment, number, power, sentence } from "./format.js";
import { History } from "./history.js";
import { operations } from "./operations.js";
import { ENDED_SPAN_MS, Plot } from "./plot.js";
import { Schedule } from "./schedule.js";
import { cableWords, contactorWords, limitWords, lockWords, pilotWords, stateOf, stopWords } from "./words.js";

const PHASES = ["L1", "L2", "L3"];
const WAITS_FOR_CAR = "Power and current are drawn here while a car charges.";

export class EvseCard {
  /** `isOnly`: the station has no other; `context`: {can(role), onState()}. */
  constructor(evseId, isOnly, context) {
    this.evseId = evseId;
    this.name = isOnly ? "Charging point" : `Charging point ${evseId}`;
    this.context = context;
    this.history = new History();
    this.plot = new Plot(this.name, WAITS_FOR_CAR);
    this.schedule = new Schedule(evseId);
    this.state = null;
    this.evse = null;
    this.atHand = 0;
    this.build();
    this.schedule.load();
    setInterval(() => this.tick(), 1000);
  }

  build() {
    const titleId = `evse-${this.evseId}-title`;
    this.stateIcon = h("span", { class: "state-icon" });
    this.stateTitle = h("p", { class: "state-title" });
    this.stateHint = h("p", { class: "state-hint" });
    this.stateSince = h("p", { class: "state-since" });
    this.stateBox = h("div", { class: "state", "data-tone": "off" }, this.stateIcon,
      h("div", { class: "state-words" }, this.stateTitle, this.stateHint, this.stateSince));
    this.driver = h("p", { class: "driver", hidden: true });
    this.power = metric("Power");
    this.energy = metric("Energy");
    this.time = metric("Time");
    this.meterNote = h("p", { class: "meter-note", hidden: true });
    this.phases = PHASES.map((name) => phaseRow(name));
    this.phaseBody = h("tbody", {}, ...this.phases.map((each) => each.row));
    this.offered = h("p", { class: "offered" });
    this.details = {};
    const list = h("dl", { class: "details" });
    for (const label of ["Cable", "Lock", "Car (pilot)", "Contactor", "Card", "Limit set by", "Inside"]) {
      const value = h("dd");
      this.details[label] = value;
      list.append(h("div", {}, h("dt", {}, label), value));
    }
    this.sessionTitle = h("h3", {}, "Session");
    this.sessionWords = h("p", { class: "muted session-words" });
    this.faults = h("div", { class: "faults" });
    this.operations = operations(this.evseId, this.name, this.context);
    this.heading = h("h2", { id: titleId, class: "evse-name", tabindex: "-1" }, this.name);
    this.element = h("article", { class: "card evse", "aria-labelledby": titleId, id: `evse-${this.evseId}` },
      h("div", { class: "evse-head" },
        this.heading,
        this.stateBox, this.faults, this.driver,
        h("div", { class: "metrics" }, this.power.element, this.energy.element, this.time.element),
        this.meterNote,
        h("div", { class: "currents" },
          h("table", { class: "phases" },
            h("caption", {}, "Current"),
            h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Phase"), h("th", { scope: "col" }, "Drawn"),
              h("td", { class: "bar-cell", "aria-hidden": "true" }), h("th", { scope: "col" }, "Offered"),
              h("th", { scope: "col", class: "volts" }, "Voltage"))),
            this.phaseBody),
          this.offered),
        this.operations.element,
      ),
      h("div", { class: "evse-pictures" },
        h("section", { "aria-label": `Session of ${this.name}` }, this.sessionTitle, this.sessionWords, this.plot.element),
        h("section", { "aria-label": `Schedule of ${this.name}` }, h("h3", {}, "Highest current of the next 24 hours"), this.schedule.element),
      ),
      h("div", { class: "evse-foot" }, list));
  }

  /** `at`: when the status was made (ms). */
  update(evse, status, at) {
    this.evse = evse;
    this.atHand = at;
    this.showState(evse, status);
    this.showNumbers(evse);
    this.showDetails(evse);
    this.showFaults(evse.faults);
    this.operations.update(evse, status);
    const isOther = (evse.transaction?.transaction_id ?? null) !== null && evse.transaction.transaction_id !== this.history.transactionId;
    const hasEnded = evse.transaction === null && this.hadTransaction !== false;
    this.hadTransaction = evse.transaction !== null;
    const isNew = this.history.add(evse, at);
    if (isOther) this.loadHistory();
    if (hasEnded) this.loadLast();
    if (this.hadTransaction) {
      setText(this.sessionTitle, "This session");
      setText(this.sessionWords, "");
      this.plot.setEmptyWords(WAITS_FOR_CAR);
    }
    if (isNew || isOther) this.plot.draw(this.history.samples);
    this.schedule.tick();
  }

  /** The page was not live: what happened meanwhile is in the station's record. */
  async loadHistory() {
    if (!this.evse) return;
    if (!this.evse.transaction) { // it ended meanwhile: what was seen of it is not all of it
      this.history.transactionId = null;
      await this.loadLast();
      return;
    }
    await this.history.load(this.evse);
    this.plot.draw(this.history.samples);
  }

  async loadLast() {
    await this.history.loadLast(this.evseId);
    const last = this.history.ended;
    if (!last || this.hadTransaction) return;
    const charged = energy(last.energy_wh);
    setText(this.sessionTitle, "Last session");
    setText(this.sessionWords, `${charged.value} ${charged.unit} in ${clockDuration(last.duration_s)}, ended ${moment(last.stopped_at)}${last.stop_reason ? ` (${stopWords(last.stop_reason)})` : ""}.`);
    this.plot.setEmptyWords("Nothing was measured in it.");
    this.plot.draw(this.history.samples, ENDED_SPAN_MS);
  }

  showState(evse, status) {
    const now = stateOf(evse, status.station);
    if (now.key !== this.state?.key) {
      this.stateIcon.replaceChildren(icon(now.icon));
      if (this.state !== null) announce(`${this.name}: ${now.title}. ${now.tone === "fault" ? "" : now.hint}`.trim()); // a fault says itself what to do
      this.state = now;
    }
    setTone(this.stateBox, now.tone);
    this.element.dataset.state = now.key;
    setText(this.stateTitle, now.title);
    setText(this.stateHint, now.hint || chargingHint(evse));
    setText(this.stateSince, `since ${moment(evse.changed_at)}`);
    const message = evse.display?.content ?? evse.cost?.text ?? "";
    setHidden(this.driver, !message);
    setText(this.driver, message ? `On the display: ${message}` : "");
  }

  showNumbers(evse) {
    const meter = evse.meter;
    const isKnown = meter !== null && meter.quality === "ok";
    const watts = power(isKnown ? meter.power_w : null);
    const charged = energy(evse.transaction?.energy_wh ?? (evse.transaction ? 0 : null));
    this.power.set(watts.value, watts.unit);
    this.energy.set(charged.value, charged.unit);
    this.tick();
    setHidden(this.meterNote, isKnown);
    setText(this.meterNote, meter === null ? "No meter reading yet." : `The meter has been silent for ${number(meter.age_s)} s: its last numbers are not shown.`);
    const offered = evse.offered_current_a;
    this.phases.forEach((row, phase) => {
      const drawn = isKnown ? meter.current_a[phase] : null;
      const volts = isKnown ? meter.voltage_v[phase] : null;
      setHidden(row.row, phase > 0 && isKnown && drawn === null && volts === null);
      row.set(drawn, offered, volts);
    });
  }

  /** Once a second: the clock of a running session goes on between two words of the station. */
  tick() {
    const transaction = this.evse?.transaction;
    if (!transaction) {
      this.time.set("–", "");
      return;
    }
    const isLive = !document.body.classList.contains("is-stale");
    const now = isLive ? Date.now() : this.atHand;
    const seconds = (now - Date.parse(transaction.started_at) - this.context.skew()) / 1000;
    this.time.set(clockDuration(seconds), "");
  }

  showDetails(evse) {
    const limit = evse.limit;
    setText(this.details.Cable, cableWords(evse));
    setText(this.details.Lock, lockWords(evse.is_locked));
    setText(this.details["Car (pilot)"], sentence(pilotWords(evse.pilot)));
    setText(this.details.Contactor, contactorWords(evse.contactor));
    setText(this.details.Card, evse.transaction?.id_token ?? evse.id_token ?? "None");
    setText(this.details["Limit set by"], limit ? `${sentence(limitWords(limit))}, ${current(limit.current_a)} A` : "Unknown");
    setText(this.details.Inside, evse.temperature_c === null ? "Not measured" : `${number(evse.temperature_c)} °C`);
  }

  showFaults(faults) {
    const key = faults.map((fault) => `${fault.code} ${fault.since}`).join();
    if (this.faults.dataset.key === key) return;
    this.faults.dataset.key = key;
    this.faults.replaceChildren(...faults.map(faultBox));
  }
}

/** A fault in plain words, with what to do. */
export function faultBox(fault) {
  return h("div", { class: "notice fault-box", "data-tone": fault.stops_charging ? "fault" : "attention", role: "alert" },
    icon("warn"),
    h("div", {},
      h("p", { class: "notice-title" }, sentence(fault.meaning), "."),
      h("p", {}, h("strong", {}, "What to do: "), sentence(fault.advice), "."),
      h("p", { class: "muted" }, `${fault.code} since ${moment(fault.since)}${fault.detail ? `, ${fault.detail}` : ""}`
        + `${fault.stops_charging ? "" : ". Charging goes on."}`)));
}

function chargingHint(evse) {
  const reference = evse.transaction?.reference;
  return reference ? `Session ${reference} at the CSMS` : "The CSMS does not know of this session yet";
}

function metric(label) {
  const value = h("span", { class: "metric-value" }, "–");
  const unit = h("span", { class: "metric-unit" });
  return {
    element: h("div", { class: "metric" }, h("p", { class: "metric-label" }, label), h("p", { class: "metric-number" }, value, " ", unit)),
    set(number, of) {
      setText(value, number);
      setText(unit, of);
    },
  };
}

function phaseRow(name) {
  const drawn = h("td", { class: "number" });
  const bar = h("span");
  const offered = h("td", { class: "number" });
  const volts = h("td", { class: "number volts" });
  return {
    row: h("tr", {}, h("th", { scope: "row" }, name), drawn, h("td", { class: "bar-cell", "aria-hidden": "true" }, h("span", { class: "bar" }, bar)), offered, volts),
    set(amperes, most, voltage) {
      setText(drawn, amperes === null ? "–" : `${current(amperes)} A`);
      setText(offered, most > 0 ? `${current(most)} A` : "none");
      setText(volts, voltage === null ? "–" : `${number(voltage)} V`);
      bar.style.width = `${most > 0 ? Math.min(100, Math.round((100 * (amperes ?? 0)) / most)) : 0}%`;
    },
  };
}
