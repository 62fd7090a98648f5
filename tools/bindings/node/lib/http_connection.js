// SPDX-License-Identifier: Apache-2.0
// Requests to `leasehold serve`, with what every system has: fetch() and web streams.
"use strict";

const { LeaseholdError, UnknownError, UnreachableError, errorOf } = require("./errors.js");
const { encode, eventOf, holderOf, parse } = require("./http_values.js");

// Between two comments on a silent stream of events are 15 seconds.
const SILENCE = 45_000;

/** Milliseconds that have passed since `then`. While a machine sleeps, one of its clocks may stand
 * still; the other one may be set. The one that shows more counts. */
const now = () => ({ steady: performance.now(), wall: Date.now() });
const since = (then) => Math.max(performance.now() - then.steady, Date.now() - then.wall);

/** Ends early, without an error, when the signal is aborted. */
function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const early = () => (clearTimeout(timer), resolve());
    if (signal?.aborted) early();
    else signal?.addEventListener("abort", early, { once: true });
  });
}

/** The outcome, as the library names it: by the code of the problem, or else by the status. */
const outcomes = {
  not_held: "lost",
  400: "invalid", 401: "denied", 403: "denied", 410: "lost", 423: "busy", 429: "unreachable",
  503: "unreachable", 504: "unknown",
};

function errorOfResponse(response, text) {
  let problem = {};
  try {
    problem = parse(text);
  } catch {} // a proxy sent it
  return errorOf({
    code: outcomes[problem.code] ?? outcomes[response.status] ?? problem.code ?? "server",
    reason: problem.reason ?? problem.code ?? "",
    message: problem.detail ?? `the server replied ${response.status} ${response.statusText}`,
    serverCode: 0,
    leaseId: "",
    holder: problem.holder ? holderOf(problem.holder) : undefined,
    retryAfter: problem.retry_after_ms,
  });
}

/** There was no response. Only a browser does not say whether the server was reached. */
function errorOfFailure(method, cause, late) {
  const refused = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"].includes(cause.cause?.code);
  return errorOf({
    code: method === "GET" || refused ? "unreachable" : "unknown",
    reason: late ? "timed_out" : refused ? "no_server" : "no_reply",
    message: late ? "the server did not reply in time" : (cause.cause?.message ?? cause.message),
    serverCode: 0,
    leaseId: "",
  });
}

const passing = (error) => error instanceof UnreachableError || error instanceof UnknownError;

class Connection {
  #url;
  #headers;

  constructor({ url, token, timeout = 10_000 }) {
    this.#url = url.replace(/\/+$/, "");
    this.#headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    this.timeout = timeout;
  }

  /** Makes one request, and gives its response to `read`. `limit`: the longest silence. */
  async #fetch(method, path, { body, headers, signal, limit, keepalive }, read) {
    const controller = new AbortController();
    const abort = () => controller.abort();
    let late = false, timer;
    const restart = () => {
      clearTimeout(timer);
      timer = setTimeout(() => (late = true, abort()), limit);
    };
    const all = { ...this.#headers, ...headers };
    if (body) all["Content-Type"] = "application/json";
    signal?.addEventListener("abort", abort, { once: true });
    restart();
    try {
      signal?.throwIfAborted();
      const options = { method, headers: all, signal: controller.signal, keepalive };
      if (body) options.body = encode(body);
      const response = await fetch(this.#url + path, options);
      if (!response.ok) throw errorOfResponse(response, await response.text());
      return await read(response, restart);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw error instanceof LeaseholdError ? error : errorOfFailure(method, error, late);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Makes one request; the JSON of its response. */
  async send(method, path, options) {
    const all = { limit: this.timeout, ...options };
    return this.#fetch(method, path, all, async (response) => parse(await response.text()));
  }

  /** The same, for a request that may be repeated: until there is a reply, for `timeout`; or until
   * one has lasted for `limit`. */
  async repeat(method, path, options = {}) {
    const begin = now();
    let doubt;
    for (let pause = 50; ; pause = Math.min(2 * pause, 1_000)) {
      const limit = options.limit ?? Math.max(this.timeout - since(begin), 1);
      const sent = now();
      try {
        return await this.send(method, path, { ...options, limit });
      } catch (error) {
        if (!passing(error)) throw error;
        if (error instanceof UnknownError) doubt = error;
        if (options.limit <= since(sent)) throw error;
        if (since(begin) + pause > this.timeout) throw doubt ?? error;
      }
      await sleep(pause, options.signal);
    }
  }

  /** Gives each event to `put`, until the connection ends. */
  async follow(path, headers, signal, put) {
    const options = { headers: { Accept: "text/event-stream", ...headers }, signal };
    await this.#fetch("GET", path, { ...options, limit: SILENCE }, async (response, restart) => {
      const decoder = new TextDecoder();
      let rest = "";
      const reader = response.body.getReader();
      for (let piece; !(piece = await reader.read()).done; restart()) {
        const frames = (rest + decoder.decode(piece.value, { stream: true })).split("\n\n");
        rest = frames.pop();
        for (const frame of frames) {
          const data = /^data: (.*)$/m.exec(frame);
          if (data) put(eventOf(parse(data[1])));
        }
      }
    });
  }
}

module.exports = { Connection, now, passing, since, sleep };
