// What the station is doing, in words: one title, one hint, one tone and one icon for every state of an EVSE.

import { current } from "./format.js";

/** {key, tone, icon, title, hint}. Tones: ready, busy, charging, attention, fault, off. The worst news comes first. */
export function stateOf(evse, station) {
  const stopping = evse.faults.filter((fault) => fault.stops_charging);
  if (station.is_resetting) return state("resetting", "busy", "clock", "Restarting", "The station is restarting; wait a moment.");
  if (!evse.board_link) return state("no-board", "fault", "warn", "No contact with the charger's board", "Nothing can be charged until it answers.");
  if (stopping.length) {
    const hint = evse.transaction ? "Charging is stopped. See below what to do." : "It cannot charge now. See below what to do.";
    return state("fault", "fault", "warn", "Fault", hint);
  }
  const session = sessionState(evse);
  if (!evse.is_operative && !evse.transaction) {
    return state("out", "off", "off", "Out of service", "An operator has switched this place off.");
  }
  return session;
}

function sessionState(evse) {
  switch (evse.session) {
    case "authorized":
      return state("authorized", "busy", "card", "Card accepted", "Now plug in the cable.");
    case "plugged":
      return state("plugged", "busy", "plug", "Plugged in", "Hold a card to the reader to start.");
    case "authorizing":
      return state("authorizing", "busy", "card", "Checking the card", "A moment, please.");
    case "charging":
      return transactionState(evse);
    case "finishing":
      return state("finishing", "attention", "done", "Finished", "The cable can be unplugged.");
    default:
      if (evse.reserved_connectors.length) return state("reserved", "attention", "clock", "Reserved", "It is kept for somebody.");
      return state("ready", "ready", "plug", "Ready", "Plug in a car to start.");
  }
}

function transactionState(evse) {
  switch (evse.transaction?.charging_state) {
    case "SuspendedEV":
      return state("suspended-ev", "attention", "pause", "Paused by the car", "Its battery may be full, or it waits for a time set in the car.");
    case "SuspendedEVSE": {
      const limit = evse.limit;
      const why = limit && limit.current_a < 6 ? `${limitWords(limit)} allows ${current(limit.current_a)} A, and a car needs 6 A.` : "The station offers no power just now.";
      return state("suspended-evse", "attention", "pause", "Paused by the station", why);
    }
    case "EVConnected":
      return state("waiting", "busy", "clock", "Waiting for the car", "Charging begins as soon as the car asks for it.");
    case "Idle":
      return state("idle-transaction", "attention", "plug", "Car disconnected", "The session goes on; plug the car in again.");
    default:
      return state("charging", "charging", "bolt", "Charging", "");
  }
}

function state(key, tone, icon, title, hint) {
  return { key, tone, icon, title, hint };
}

const LIMIT_WORDS = {
  hardware: "the hardware",
  cable: "the cable",
  setting: "a setting",
  ChargingStationMaxProfile: "a limit of the operator for the station",
  TxDefaultProfile: "the operator's default schedule",
  TxProfile: "the operator's schedule for this session",
  ChargingStationExternalConstraints: "a limit set on site",
};

/** What sets the limit, to stand in a sentence: "the cable". */
export function limitWords(limit) {
  return LIMIT_WORDS[limit.source] ?? limit.source;
}

const PILOT_WORDS = {
  A: "no car",
  B: "car connected",
  C: "car asks for power",
  D: "car asks for power, with ventilation",
  E: "no voltage (short circuit or no supply)",
  F: "the station reports that it is not available",
};

export function pilotWords(pilot) {
  return PILOT_WORDS[pilot] ? `${pilot}, ${PILOT_WORDS[pilot]}` : "unknown";
}

export function contactorWords(contactor) {
  return { open: "Open, no voltage at the plug", closed: "Closed, the plug is live" }[contactor] ?? "Unknown";
}

export function lockWords(isLocked) {
  if (isLocked === null || isLocked === undefined) return "No lock, fixed cable";
  return isLocked ? "Locked" : "Unlocked";
}

export function cableWords(evse) {
  if (!evse.is_plugged) return "Not plugged in";
  return evse.cable_a ? `Plugged in, rated ${current(evse.cable_a).replace(/\.0$/, "")} A` : "Plugged in";
}

const STOP_WORDS = {
  Local: "at the station", Remote: "by the CSMS", EVDisconnected: "cable unplugged", PowerLoss: "power lost", DeAuthorized: "card no longer valid",
  EmergencyStop: "emergency stop", GroundFault: "residual current", OvercurrentFault: "too much current", UnlockCommand: "cable unlocked",
  HardReset: "restart", SoftReset: "restart", Reboot: "restart", StoppedByEV: "by the car", Timeout: "time ran out",
  EnergyLimitReached: "energy limit", TimeLimitReached: "time limit", MasterPass: "master card", Other: "a fault",
};

export function stopWords(reason) {
  return STOP_WORDS[reason] ?? reason;
}

const VERSIONS = { "ocpp1.6": "OCPP 1.6", "ocpp2.0.1": "OCPP 2.0.1", "ocpp2.1": "OCPP 2.1" };

export function versionWords(subprotocol) {
  return subprotocol ? VERSIONS[subprotocol] ?? subprotocol : "";
}

/** How it stands with the CSMS: {tone, text, hint}. */
export function csmsWords(status) {
  if (!status.link.is_connected) return { tone: "attention", text: "CSMS offline", hint: "Charging goes on; messages are kept." };
  switch (status.registration) {
    case "Accepted":
      return { tone: "charging", text: "CSMS connected", hint: "" };
    case "Pending":
      return { tone: "busy", text: "CSMS: pending", hint: "It has not accepted the station yet." };
    case "Rejected":
      return { tone: "fault", text: "CSMS refuses", hint: "It knows the station, but does not accept it." };
    default:
      return { tone: "busy", text: "CSMS: registering", hint: "No answer to the BootNotification yet." };
  }
}
