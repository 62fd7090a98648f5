// SPDX-License-Identifier: Apache-2.0
// Requests to the server that this page came from. The token goes into a header, never into an
// address.

const KEPT = "leasehold-token"; // in the tab's sessionStorage
let token = sessionStorage.getItem(KEPT);

export function hasToken() {
  return token !== null;
}

export function useToken(text) {
  token = text;
  if (text === null) sessionStorage.removeItem(KEPT);
  else sessionStorage.setItem(KEPT, text);
}

/** A refusal by the server. status 0: no reply came. */
export class Refusal extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

async function refusalOf(response) {
  try {
    const problem = await response.json();
    return new Refusal(response.status, problem.code, problem.detail);
  } catch {
    return new Refusal(response.status, "", `the server replied with status ${response.status}`);
  }
}

async function send(path, options = {}) {
  const headers = { ...options.headers };
  if (options.token ?? token) headers.Authorization = `Bearer ${options.token ?? token}`;
  try {
    return await fetch(path, {
      method: options.method,
      body: options.body,
      signal: options.signal,
      headers,
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refusal(0, "network", "the server does not respond");
  }
}

async function json(path, options) {
  const response = await send(path, options);
  if (!response.ok) throw await refusalOf(response);
  try {
    return await response.json();
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    throw new Refusal(0, "network", "the connection broke during the reply");
  }
}

const limited = (ms, signal) =>
  AbortSignal.any([AbortSignal.timeout(ms), ...(signal ? [signal] : [])]);

/** Gives up after `ms`, as if no reply had come. */
async function bounded(ms, path, options = {}) {
  try {
    return await json(path, { ...options, signal: limited(ms, options.signal) });
  } catch (error) {
    if (error instanceof Refusal || options.signal?.aborted) throw error;
    throw new Refusal(0, "network", "the server does not respond in time");
  }
}

export const whoami = (options) => bounded(10000, "v1/whoami", options);
export const ready = (options) => bounded(20000, "readyz", options);
export const busySince = (after, options) => bounded(10000, `v1/busy?after=${after}`, options);
export const status = (key) => bounded(20000, `v1/leases/${encodeURIComponent(key)}`);
export const list = (prefix, options) =>
  bounded(
    60000,
    `v1/leases?limit=10000${prefix ? `&prefix=${encodeURIComponent(prefix)}` : ""}`,
    options,
  );

export function breakLease(key, body) {
  return bounded(20000, `v1/leases/${encodeURIComponent(key)}/break`, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
  });
}

function parse(frame) {
  const event = { id: null, data: null };
  for (const line of frame.split("\n")) {
    if (line.startsWith("id: ")) event.id = line.slice(4);
    else if (line.startsWith("data: ")) event.data = line.slice(6);
  }
  return event.data === null ? null : { ...JSON.parse(event.data), id: event.id };
}

/** Calls `each` with every event, and with null for each sign of life; returns when the stream
 * ends. */
export async function events(signal, each) {
  const response = await send("v1/events", { signal });
  if (!response.ok) throw await refusalOf(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (signal.aborted) throw error;
      return; // the connection broke: as if it had ended
    }
    if (part.done) return;
    const frames = (rest + part.value).split("\n\n");
    rest = frames.pop();
    each(null);
    for (const frame of frames) {
      const event = parse(frame);
      if (event) each(event);
    }
  }
}
