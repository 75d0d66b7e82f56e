// Of a station with several charging points: each in one line at the top, as a way to its card.

import { h, setHidden, setText, setTone } from "./dom.js";
import { powerText } from "./format.js";

export class Overview {
  constructor(place) {
    this.place = place;
    this.lines = new Map();
  }

  /** `cards`: the EvseCard of each EVSE by its number, up to date. */
  update(status, cards) {
    setHidden(this.place, status.evses.length < 2);
    if (status.evses.length < 2) return;
    for (const evse of status.evses) {
      const card = cards.get(evse.evse_id);
      if (!this.lines.has(evse.evse_id)) this.begin(evse.evse_id, card);
      const line = this.lines.get(evse.evse_id);
      const watts = evse.meter?.quality === "ok" ? evse.meter.power_w : null;
      setTone(line.button, card.state.tone);
      setText(line.state, card.state.title);
      setText(line.power, evse.transaction && watts !== null ? powerText(watts) : "");
    }
  }

  begin(evseId, card) {
    const state = h("strong");
    const power = h("span", { class: "muted" });
    const go = () => {
      card.element.scrollIntoView({ block: "start" });
      card.heading.focus({ preventScroll: true });
    };
    const button = h("button", { type: "button", class: "overview-line", on: { click: go } },
      h("span", { class: "overview-number" }, h("span", { class: "unseen" }, "Charging point "), String(evseId)), " ", state, " ", power);
    this.lines.set(evseId, { button, state, power });
    this.place.append(button);
  }
}
