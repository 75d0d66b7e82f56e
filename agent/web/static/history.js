// What an EVSE drew since its session began: kept here for the plot, filled up by the station's own record.

import { get } from "./api.js";

const MOST_KEPT = 3600;

export class History {
  constructor() {
    this.transactionId = null;
    this.samples = [];
    this.isLoading = false;
    /** The last session at this place that has ended: {stopped_at, energy_wh, duration_s, stop_reason}. */
    this.ended = null;
  }

  /** Nothing runs: fetch the last session that the station recorded here. */
  async loadLast(evseId) {
    try {
      const { sessions } = await get(`/api/v1/sessions?evse=${evseId}&limit=1`);
      const last = sessions.find((each) => !each.is_running);
      if (!last) return;
      this.ended = last;
      if (last.session_id === this.transactionId) return;
      const session = await get(`/api/v1/sessions/${encodeURIComponent(last.session_id)}`);
      this.transactionId = last.session_id;
      this.samples = session.samples.map((each) => ({ ...each, at: Date.parse(each.at) }));
    } catch {
      // Nothing recorded: nothing is shown.
    }
  }

  /** Take what the status says now. Returns true when there is something new to draw. */
  add(evse, at) {
    const id = evse.transaction?.transaction_id ?? null;
    if (id !== null && id !== this.transactionId) {
      this.transactionId = id;
      this.samples = [];
    }
    const meter = evse.meter;
    if (id === null || !meter || meter.quality !== "ok") return false;
    const taken = at - meter.age_s * 1000;
    const last = this.samples.at(-1);
    if (last && taken - last.at < 300 && last.offered_a === evse.offered_current_a) return false;
    this.samples.push({
      at: taken,
      power_w: meter.power_w,
      current_a: meter.current_a,
      offered_a: evse.offered_current_a,
    });
    if (this.samples.length > MOST_KEPT) this.samples = this.samples.filter((_each, index) => index % 2 === 0 || index > MOST_KEPT / 2);
    return true;
  }

  /** Fetch what the station recorded of the running session: after the page was opened, or was not live for a while. */
  async load(evse) {
    const id = evse.transaction?.transaction_id;
    if (!id || this.isLoading) return;
    this.isLoading = true;
    try {
      const session = await get(`/api/v1/sessions/${encodeURIComponent(id)}`);
      const recorded = session.samples.map((each) => ({ ...each, at: Date.parse(each.at) }));
      if (this.transactionId !== null && this.transactionId !== id) return;
      this.transactionId = id;
      const newest = recorded.at(-1)?.at ?? 0;
      this.samples = [...recorded, ...this.samples.filter((each) => each.at > newest + 300)];
    } catch {
      // Nothing recorded (yet): the plot shows what the page saw itself.
    } finally {
      this.isLoading = false;
    }
  }
}
