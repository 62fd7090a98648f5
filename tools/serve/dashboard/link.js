// SPDX-License-Identifier: Apache-2.0
// The connection to the server and, through it, to the database: reports which of the two is lost,
// and reconnects by itself.
//
// A stream of events is open all the time; the list is read when it opens, after a gap, and now and
// then. Every few seconds the page checks that the database responds, because a silent stream does
// not show that.
import * as api from "./api.js";
import * as clock from "./clock.js";
import * as model from "./leases.js";

const POLL_MS = 4000,
  SILENT_MS = 40000,
  AFRESH_MS = 60000,
  HIDDEN_MS = 60000,
  FIRST_PAUSE_MS = 500,
  LONGEST_PAUSE_MS = 15000;

/** kind: connecting, live, lost (the server), database, token, resting (the tab is hidden). */
export const state = { kind: "connecting", detail: "", since: performance.now(), retryAt: 0 };
let hooks = { state: () => {}, event: () => {}, who: () => {}, loaded: () => {} };
let session = null,
  wake = () => {},
  pauseMs = FIRST_PAUSE_MS,
  resting = false,
  after = 0,
  prefix = "";

function enter(kind, detail = "", retryAt = 0) {
  if (state.kind !== kind) state.since = performance.now();
  Object.assign(state, { kind, detail, retryAt });
  hooks.state();
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const end = (settle, what) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      settle(what);
    };
    const abort = () => end(reject, signal.reason);
    const timer = setTimeout(() => end(resolve), ms);
    wake = () => end(resolve);
    signal?.addEventListener("abort", abort);
  });
}

/** Tries again now, without waiting for the end of a pause. */
export function retry() {
  pauseMs = FIRST_PAUSE_MS;
  wake();
}

/** Starts again, with another token. */
export function restart() {
  pauseMs = FIRST_PAUSE_MS;
  session?.abort();
  wake();
}

/** Requests only keys with this prefix, if there are more keys than the server lists at once. */
export function narrow(to, needed) {
  if (to === prefix || (!needed && to.startsWith(prefix))) return;
  prefix = needed ? to : "";
  restart();
}

const isDatabase = (error) =>
  error instanceof api.Refusal &&
  [502, 503, 504].includes(error.status) &&
  error.code !== "overloaded" &&
  error.code !== "stopping";

/** One session, until something breaks: then it throws. */
class Session {
  constructor(signal) {
    this.signal = signal;
    this.heard = performance.now();
    this.held = []; // events that came while the list was being read; null: it has been read
    this.gap = false;
  }

  take(event) {
    this.heard = performance.now();
    if (event === null || event.event === "opened") return;
    if (event.event === "gap") {
      this.gap = true;
      wake();
    } else if (!event.key.startsWith(prefix)) {
      return;
    } else if (this.held) {
      this.held.push(event);
    } else {
      hooks.event(event);
    }
  }

  /** Reads the list, and then follows the events. */
  async load() {
    const { signal } = this,
      sent = performance.now();
    this.gap = false;
    this.held ??= [];
    const answer = await api.list(prefix, { signal });
    model.reset(answer, sent, performance.now());
    this.loaded = performance.now();
    const held = this.held;
    this.held = null;
    hooks.loaded();
    held.forEach(hooks.event);
  }

  async refusals() {
    const answer = await api.busySince(after, { signal: this.signal });
    after = answer.next;
    model.noteRefusals(answer.busy);
    hooks.loaded();
  }

  /** Calls `act`; while the database does not respond, reports that and tries again. */
  async whenDatabase(act) {
    for (;;) {
      try {
        return await act();
      } catch (error) {
        if (!isDatabase(error)) throw error;
        enter("database", error.message);
      }
      await sleep(2000, this.signal);
    }
  }

  /** Watches both connections. */
  async care() {
    await this.whenDatabase(() => this.load());
    enter("live");
    const began = performance.now();
    for (;;) {
      await this.refusals();
      await sleep(this.gap ? 0 : POLL_MS, this.signal);
      if (performance.now() - this.heard > SILENT_MS)
        throw new api.Refusal(0, "network", "the server has been silent for too long");
      if (performance.now() - began > 10000) pauseMs = FIRST_PAUSE_MS;
      await this.whenDatabase(() => api.ready({ signal: this.signal }));
      if (state.kind !== "live" || this.gap || performance.now() - this.loaded > AFRESH_MS)
        await this.whenDatabase(() => this.load());
      enter("live");
    }
  }

  async run() {
    const me = await api.whoami({ signal: this.signal });
    hooks.who(me);
    if (me.may === "look_in")
      throw new api.Refusal(
        401,
        "unauthorized",
        api.hasToken() ? "The server no longer knows the token." : "",
      );
    clock.forget();
    const stream = api
      .events(this.signal, (event) => this.take(event))
      .then(() => {
        throw new api.Refusal(0, "network", "the server ended the connection");
      });
    await Promise.race([stream, this.care()]);
  }
}

/** After a session has ended: waits before the next one. */
async function recover(error) {
  if (resting) {
    enter("resting");
    await sleep(2 ** 31 - 1);
    resting = false;
  } else if (error.status === 401) {
    enter("token", error.message);
    await sleep(2 ** 31 - 1);
  } else if (error.name !== "AbortError") {
    if (!(error instanceof api.Refusal)) console.error(error);
    const ms = pauseMs * (0.75 + Math.random() / 2);
    pauseMs = Math.min(pauseMs * 1.7, LONGEST_PAUSE_MS);
    enter("lost", error.message, performance.now() + ms);
    await sleep(ms);
  }
}

export async function run() {
  for (;;) {
    session = new AbortController();
    try {
      await new Session(session.signal).run();
    } catch (error) {
      session.abort();
      await recover(error);
    }
  }
}

export function start(given) {
  hooks = given;
  let timer = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) {
      retry();
      return;
    }
    timer = setTimeout(() => {
      // browsers allow few connections to one server: a tab that nobody looks at needs none
      resting = true;
      session?.abort();
    }, HIDDEN_MS);
  });
  window.addEventListener("online", retry);
  run();
}
