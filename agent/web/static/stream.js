// The one stream of events from the station. It opens again by itself, with back-off; it never asks again and again.
//
// A connection can die without a word (a closed lid, a lost network): the station says something at least every 5 s, so
// silence means dead. Whoever comes back to the page has a fresh stream at once.

const SILENCE_MS = 12000;
/** A new connection speaks at once; one that does not was a dead one that the browser kept. */
const FIRST_WORD_MS = 3000;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 10000;
/** Of all facts, those that the page says something about; everything else is in the status. */
const FACTS = ["TokenRefused", "TransactionStarted", "TransactionStopped"];

const DROP_MS = 1000;

/** A browser keeps some connections for later and does not know that they died: each is asked for something small, and
 *  those that do not answer are closed by it. */
function dropDeadConnections() {
  const asked = Array.from({ length: 6 }, () => fetch("/static/icon.svg", { cache: "no-store", signal: AbortSignal.timeout(DROP_MS) }));
  return Promise.allSettled(asked);
}

export class Stream {
  /** `listeners`: {status(status, isFirst), page, message, fact, schedule, progress, live(isLive, {since, retryAt}), refused()}. */
  constructor(url, listeners) {
    this.url = url;
    this.listeners = listeners;
    this.source = null;
    this.delay = FIRST_DELAY_MS;
    this.timer = 0;
    this.watch = 0;
    this.heardAt = 0;
    this.openedAt = 0;
    this.isLive = false;
    const wakeUp = () => this.wakeUp();
    document.addEventListener("visibilitychange", wakeUp);
    addEventListener("online", wakeUp);
    addEventListener("pageshow", wakeUp);
    addEventListener("pagehide", () => this.close());
  }

  open() {
    this.close();
    const source = new EventSource(this.url);
    this.source = source;
    this.openedAt = Date.now();
    const on = (event, handle) => source.addEventListener(event, (message) => {
      if (this.source !== source) return;
      this.hear();
      handle(message.data ? JSON.parse(message.data) : null);
    });
    let isFirst = true;
    on("status", (status) => {
      this.delay = FIRST_DELAY_MS;
      this.setLive(true);
      this.listeners.status(status, isFirst);
      isFirst = false;
    });
    on("page", (page) => this.listeners.page(page));
    on("message", (message) => this.listeners.message(message));
    on("schedule", () => this.listeners.schedule());
    on("progress", (progress) => this.listeners.progress(progress));
    on("alive", () => {});
    for (const name of FACTS) on(name, (fact) => this.listeners.fact(fact));
    source.onerror = () => { if (this.source === source) this.lose({ wasRefused: source.readyState === EventSource.CLOSED }); };
    this.listen(FIRST_WORD_MS);
  }

  close() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    clearTimeout(this.watch);
  }

  hear() {
    this.heardAt = Date.now();
    this.listen(SILENCE_MS);
  }

  listen(mostMs) {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.lose({ wasSilent: true }), mostMs);
  }

  /** `wasRefused`: the station answered, but not with a stream. */
  lose({ wasRefused = false, wasSilent = false }) {
    this.close();
    const wait = this.delay * (0.75 + Math.random() / 2);
    this.delay = Math.min(this.delay * 2, LONGEST_DELAY_MS);
    this.setLive(false, Date.now() + wait);
    this.timer = setTimeout(() => (wasSilent ? this.openAnew() : this.open()), wait);
    if (wasRefused) this.listeners.refused();
  }

  /** Somebody looks again, or the network is back: what was silent for a while is not trusted. */
  wakeUp() {
    if (document.visibilityState !== "visible") return;
    if (this.source === null || Date.now() - Math.max(this.heardAt, this.openedAt) > SILENCE_MS / 2) {
      this.delay = FIRST_DELAY_MS;
      this.close();
      if (this.isLive) this.setLive(false, Date.now());
      this.openAnew();
    }
  }

  async openAnew() {
    await dropDeadConnections();
    if (this.source === null) this.open();
  }

  setLive(isLive, retryAt = 0) {
    if (isLive !== this.isLive || !isLive) this.listeners.live(isLive, { since: this.heardAt, retryAt });
    this.isLive = isLive;
  }
}
