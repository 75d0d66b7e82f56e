// What an operator may do at an EVSE: stop, unlock, in or out of service, a local limit. Each says what really came of it.

import { post, put, remove } from "./api.js";
import { ask, attempt, report } from "./dialog.js";
import { field, focusOrBeside, h, isShown, setHidden, setText } from "./dom.js";
import { duration, number } from "./format.js";

/** Buttons for one EVSE: {element, update(evse, status)}. `context.can(role)` says what this reader may do. */
export function operations(evseId, name, context) {
  const path = `/api/v1/evses/${evseId}`;
  const place = placeOf(name);
  let evse = null;
  let status = null;
  const stop = button("Stop session", () => ask({
    title: "Stop this session?",
    text: "The car stops charging and the driver has to start again.",
    confirm: "Stop session", tone: "fault",
    act: async () => {
      const answer = await post(`${path}/stop`);
      if (answer.is_ended) report(`The session at ${place} has ended.`);
      else report("The station was told to stop, but the session has not ended yet.", "attention");
    },
  }));
  const unlock = button("Unlock cable", () => (evse.transaction ? ask({
    title: "Stop the session and unlock the cable?",
    text: "A session runs here. It ends first, then the cable is released.",
    confirm: "Stop and unlock", tone: "fault", act: unlockNow,
  }) : attempt(unlock, unlockNow)));
  const unlockNow = async () => {
    const answer = await post(`${path}/unlock`);
    if (answer.is_unlocked) report("The cable is unlocked.");
    else report(`The cable is still locked: ${answer.reason}.`, "fault");
  };
  const availability = button("Take out of service", () => {
    const isWanted = !isInService(evse);
    if (isWanted) return attempt(availability, () => setAvailability(true));
    return ask({
      title: `Take ${place} out of service?`,
      text: evse.transaction ? "The running session goes on; nobody can start a new one." : "Nobody can charge here until it is put back into service.",
      confirm: "Take out of service", act: () => setAvailability(false),
    });
  });
  const setAvailability = async (isOperative) => {
    const answer = await put(`${path}/availability`, { is_operative: isOperative });
    if (answer.is_scheduled) report("It goes out of service when the running session has ended.", "attention");
    else report(isOperative ? "It is in service." : "It is out of service.");
  };
  const limit = button("Limit current", () => askLimit(evseId, name, ownLimit(status, evseId)));
  const lift = button("Lift local limit", () => attempt(lift, async () => {
    await remove(`/api/v1/external-limits/Other?evse_id=${evseId}`);
    report("The local limit is lifted.");
  }));
  const note = h("p", { class: "muted" });
  const element = h("div", { class: "operations" }, h("div", { class: "buttons" }, stop, unlock, availability, limit, lift), note);
  return {
    element,
    update(nextEvse, nextStatus) {
      evse = nextEvse;
      status = nextStatus;
      const canAct = context.can("operator");
      const focused = document.activeElement;
      setHidden(element, !canAct);
      setHidden(stop, evse.transaction === null);
      setHidden(unlock, evse.is_locked !== true);
      setText(availability, isInService(evse) ? "Take out of service" : "Put into service");
      const own = ownLimit(status, evseId);
      setHidden(lift, own === null);
      setText(limit, own === null ? "Limit current" : "Change local limit");
      setText(note, own === null ? "" : `Local limit: ${number(own.periods[0].limit, 0)} ${own.unit}${own.unit === "A" ? " per phase" : ""}${own.duration_s ? ` for ${duration(own.duration_s)}` : ", until it is lifted"}.`);
      if (element.contains(focused) && !isShown(focused)) focusOrBeside(focused);
    },
  };
}

const isInService = (evse) => evse.is_operative;
const ownLimit = (status, evseId) => status.external_limits.find((each) => each.origin === "Other" && each.evse_id === evseId) ?? null;

/** A name as it stands in a sentence. */
const placeOf = (name) => (/\d$/.test(name) ? name.toLowerCase() : `the ${name.toLowerCase()}`);

function askLimit(evseId, name, own) {
  const amperes = h("input", { type: "number", min: 0, max: 80, step: 1, required: true, inputmode: "numeric", value: own?.unit === "A" ? own.periods[0].limit : 10 });
  const time = h("select", {}, ...[["", "until it is lifted"], ["900", "for 15 minutes"], ["3600", "for 1 hour"], ["14400", "for 4 hours"], ["43200", "for 12 hours"]]
    .map(([value, label]) => h("option", { value }, label)));
  time.value = "3600";
  return ask({
    title: `Limit the current of ${placeOf(name)}`,
    text: "This is a local limit beside those of the operator; the lowest one counts. Below 6 A charging pauses.",
    content: [field("Most current, in A per phase", amperes), field("How long", time)],
    confirm: "Limit",
    act: async () => {
      const body = { limit: Number(amperes.value), unit: "A", evse_id: evseId };
      if (time.value) body.duration_s = Number(time.value);
      await put("/api/v1/external-limits/Other", body);
      report(`${name} draws at most ${amperes.value} A per phase.`);
    },
  });
}

function button(label, onClick) {
  return h("button", { type: "button", on: { click: onClick } }, label);
}
