// What the station is: identity, versions, connection, what waits, what was reserved or limited, and what has crashed.

import { post } from "./api.js";
import { ask, report } from "./dialog.js";
import { h, setHidden, setText } from "./dom.js";
import { duration, moment, number } from "./format.js";
import { csmsWords, versionWords } from "./words.js";

export class StationView {
  constructor(place, context) {
    this.context = context;
    this.values = {};
    this.link = h("button", { type: "button", on: { click: () => this.onLink() } });
    this.linkRow = h("div", { class: "buttons" }, this.link);
    this.linkHint = h("p", { class: "muted" });
    this.reservations = h("div");
    this.limits = h("div");
    place.append(
      h("div", { class: "view-head" }, h("h2", { id: "station-title" }, "Station")),
      h("div", { class: "station-grid" },
        this.card("Connection", ["CSMS", "Address", "Version", "Registration", "Messages waiting"], this.linkHint, this.linkRow),
        this.card("Identity", ["Identity", "Vendor", "Model", "Serial number", "Firmware", "Agent", "I/O board", "Running since"]),
        this.card("Operation", ["In service", "Outputs", "Local list of cards", "Display messages", "Crashed tasks"]),
        h("section", { class: "card", "aria-label": "Reservations and limits" }, h("h3", {}, "Reservations"), this.reservations,
          h("h3", {}, "Limits of others than the CSMS"), this.limits)));
  }

  card(title, labels, ...rest) {
    const list = h("dl", { class: "details single" });
    for (const label of labels) {
      const value = h("dd");
      this.values[label] = value;
      list.append(h("div", {}, h("dt", {}, label), value));
    }
    return h("section", { class: "card", "aria-label": title }, h("h3", {}, title), list, ...rest);
  }

  update(status) {
    this.status = status;
    const { station, link } = status;
    const words = csmsWords(status);
    const shown = {
      "CSMS": link.is_connected ? "Connected" : "Offline",
      "Address": link.url,
      "Version": versionWords(status.subprotocol) || "Not negotiated",
      "Registration": status.registration ?? "No answer yet",
      "Messages waiting": String(status.outbox_depth),
      "Identity": station.identity,
      "Vendor": station.vendor,
      "Model": station.model,
      "Serial number": station.serial_number || "Not set",
      "Firmware": station.firmware_version || station.agent_version,
      "Agent": station.agent_version,
      "I/O board": station.board_firmware || "Not linked",
      "Running since": moment(station.booted_at),
      "In service": station.is_operative ? "Yes" : "No",
      "Outputs": listed(Object.entries(status.outputs).map(([name, isOn]) => `${name}: ${isOn ? "on" : "off"}`)),
      "Local list of cards": status.local_list_version === null ? "Switched off" : status.local_list_version === 0 ? "Empty" : `Version ${status.local_list_version}`,
      "Display messages": String(status.display_messages),
      "Crashed tasks": listed(Object.entries(status.crashed_tasks).map(([name, times]) => `${name}: ${times} times`)),
    };
    for (const [label, text] of Object.entries(shown)) setText(this.values[label], text);
    setText(this.linkHint, words.hint);
    setText(this.link, link.is_connected ? "Disconnect from the CSMS" : "Connect to the CSMS");
    setHidden(this.linkRow, !this.context.can("installer"));
    replaceWhenOther(this.reservations, status.reservations.map((each) =>
      `${each.id_token}, ${each.evse_id ? `charging point ${each.evse_id}` : "any charging point"}, until ${moment(each.expires_at)}`));
    replaceWhenOther(this.limits, status.external_limits.map((each) =>
      `${ORIGINS[each.origin] ?? each.origin}: ${each.periods.map((period) => `${number(period.limit, 0)} ${each.unit}`).join(", ")}`
      + `${each.evse_id ? ` at charging point ${each.evse_id}` : ""}${each.duration_s ? ` for ${duration(each.duration_s)}` : ""}`));
  }

  onLink() {
    if (!this.status.link.is_connected) return this.send("connect");
    return ask({
      title: "Disconnect from the CSMS?",
      text: "The station stays offline until it is connected again. Charging goes on; messages wait.",
      confirm: "Disconnect", act: () => this.send("disconnect"),
    });
  }

  async send(command) {
    try {
      await post("/api/v1/link", { command });
      report(command === "connect" ? "The station connects now; the top of the page shows when it is there." : "The station is offline until it is connected again.", command === "connect" ? "charging" : "attention");
    } catch (error) {
      report(error.message, "fault");
    }
  }
}

const ORIGINS = { EMS: "Energy management", SO: "Grid operator", Other: "Local limit" };

const listed = (texts) => (texts.length ? texts.join(", ") : "None");

function replaceWhenOther(place, texts) {
  const key = JSON.stringify(texts);
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  place.replaceChildren(texts.length ? h("ul", {}, ...texts.map((text) => h("li", {}, text))) : h("p", { class: "muted" }, "None"));
}
