// The simulated car, driver and network: there only when the hardware is simulated.

import { get, post, remove } from "./api.js";
import { attempt, report } from "./dialog.js";
import { byId, field, h, icon, setHidden, setText } from "./dom.js";
import { sentence } from "./format.js";

export class Simulation {
  constructor(place, evseIds) {
    this.place = place;
    this.evses = new Map();
    this.isConnected = true;
    this.choice = h("select", { on: { change: () => this.show() } }, ...evseIds.map((id) => h("option", { value: id }, `Charging point ${id}`)));
    this.plug = this.button("Plug in", "plug", () => this.onPlug(), "main accent");
    this.token = h("input", { value: "TAG1", maxlength: 36, spellcheck: "false", autocomplete: "off", required: true });
    const tap = this.button("Tap card", "card", () => this.act(tap, async () => {
      await post("/sim/v1/tap", { id_token: this.token.value.trim(), evses: [this.evseId] });
    }), "main accent");
    this.amperes = h("input", { type: "number", min: 0, max: 100, step: 1, value: 16, inputmode: "numeric" });
    this.carPhases = h("select", {}, h("option", { value: 3 }, "3 phases"), h("option", { value: 1 }, "1 phase"));
    this.pause = this.button("Car pauses", null, () => this.act(this.pause, () => post(`${this.path}/pause`)));
    this.resume = this.button("Car resumes", null, () => this.act(this.resume, () => post(`${this.path}/resume`)));
    this.tear = this.button("Tear the plug out", null, () => this.act(this.tear, () => post(`${this.path}/unplug`, { is_torn_out: true })));
    this.fault = h("select", { disabled: true });
    this.faultButton = this.button("Make it happen", "warn", () => this.act(this.faultButton, () => post(`${this.path}/fault`, { code: this.fault.value })));
    this.broken = h("ul", { class: "chips", "aria-label": "Faults that were made here" });
    this.link = this.button("Cut the network", "off", () => this.onLink());
    place.append(h("section", { class: "card simulation", "aria-labelledby": "simulation-title" },
      h("div", { class: "simulation-head" }, h("h2", { id: "simulation-title" }, "Simulated car and driver"),
        h("p", { class: "muted" }, "The hardware of this station is simulated: be the driver.")),
      evseIds.length > 1 ? field("Where", this.choice) : null,
      h("div", { class: "simulation-main" },
        this.plug,
        h("form", { class: "joined", on: { submit: (event) => { event.preventDefault(); tap.click(); } } },
          h("label", { class: "unseen", for: "sim-token" }, "Number of the card"), this.token, tap)),
      h("details", { class: "more", open: matchMedia("(min-width: 70rem)").matches },
        h("summary", {}, "Car, faults and network"),
        h("div", { class: "more-body" },
          h("div", { class: "pair" }, field("Car takes, in A", this.amperes), field("Car uses", this.carPhases)),
          h("div", { class: "buttons" }, this.pause, this.resume, this.tear),
          h("div", { class: "fault-line" }, field("Fault", this.fault), this.faultButton),
          this.broken,
          h("div", { class: "buttons" }, this.link)))));
    this.token.id = "sim-token";
    // Beside the charging points or above them: read in the order in which it is seen.
    const isWide = matchMedia("(min-width: 70rem)");
    const settle = () => (isWide.matches ? byId("evses").after(place) : byId("evses").before(place));
    isWide.addEventListener("change", settle);
    settle();
    setHidden(place, false);
    this.load();
  }

  get evseId() {
    return Number(this.choice.value || 1);
  }

  get path() {
    return `/sim/v1/evse/${this.evseId}`;
  }

  async load() {
    try {
      const world = await get("/sim/v1");
      this.fault.replaceChildren(...world.faults.map((each) => h("option", { value: each.code }, sentence(each.meaning))));
      this.fault.disabled = false;
      this.show();
    } catch (error) {
      report(`The list of faults did not come: ${error.message}`, "fault");
    }
  }

  update(status) {
    this.evses = new Map(status.evses.map((evse) => [evse.evse_id, evse]));
    this.isConnected = status.link.is_connected;
    this.show();
  }

  show() {
    const evse = this.evses.get(this.evseId);
    if (!evse) return;
    setText(this.plug.lastChild, evse.is_plugged ? "Unplug" : "Plug in");
    this.pause.disabled = this.resume.disabled = this.tear.disabled = !evse.is_plugged;
    setText(this.link.lastChild, this.isConnected ? "Cut the network" : "Restore the network");
    const key = `${this.evseId}: ${evse.faults.map((fault) => fault.code).join()}`;
    if (this.broken.dataset.key === key) return;
    this.broken.dataset.key = key;
    const hadFocus = this.broken.contains(document.activeElement);
    this.broken.replaceChildren(...evse.faults.map((fault) => {
      const mend = h("button", { type: "button", on: { click: () => this.act(mend, () => this.repair(fault.code)) } }, `Repair ${fault.code}`);
      return h("li", {}, mend);
    }));
    if (hadFocus) (this.broken.querySelector("button") ?? this.fault).focus({ preventScroll: true });
  }

  /** A fault that the board has latched outlives its cause: say so, or the button seems to do nothing. */
  async repair(code) {
    await remove(`${this.path}/fault/${code}`);
    report(`The cause of ${code} is repaired. If the fault stays, do what it says.`);
  }

  onPlug() {
    const isPlugged = this.evses.get(this.evseId)?.is_plugged;
    return this.act(this.plug, () => (isPlugged ? post(`${this.path}/unplug`)
      : post(`${this.path}/plug`, { current_a: Number(this.amperes.value), phases: Number(this.carPhases.value) })));
  }

  onLink() {
    const command = this.isConnected ? "disconnect" : "connect";
    return this.act(this.link, () => post("/api/v1/link", { command }));
  }

  act(button, run) {
    return attempt(button, run);
  }

  button(label, name, onClick, kind = "") {
    return h("button", { type: "button", class: kind, on: { click: onClick } }, name && icon(name), h("span", {}, label));
  }
}
