// SPDX-License-Identifier: Apache-2.0
// The database's time, taken from its replies: leases end by that clock, and the browser's clock
// may be wrong by any amount.

let ahead = Date.now() - performance.now(); // of performance.now(); a guess until a reply comes
let doubt = Infinity;

/** The database's time in milliseconds since 1970. */
export function now() {
  return performance.now() + ahead;
}

/** A reply that was written when the database's clock was at `at`. The request was sent, and the
 * reply received, at these times of performance.now(). */
export function heardAnswer(at, sent, received) {
  const half = (received - sent) / 2;
  if (half > doubt && now() - at < doubt) return; // the known offset is better
  ahead = at - received + Math.min(half, 50);
  doubt = Math.max(half, 20);
}

/** An event of that time has arrived: the clock is at least at that time. */
export function heardEvent(at) {
  if (at > now()) ahead = at - performance.now();
}

/** Before the first reply, and after an interruption: earlier times do not count. */
export function forget() {
  doubt = Infinity;
}

const pad = (n) => String(n).padStart(2, "0");

/** "0:28", "12:05", "2:03:04", "3 d 4 h". */
export function countdown(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  if (s >= 172800) return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  const minutes = Math.floor(s / 60) % 60;
  return s < 3600
    ? `${minutes}:${pad(s % 60)}`
    : `${Math.floor(s / 3600)}:${pad(minutes)}:${pad(s % 60)}`;
}

/** "12 s", "4 min", "2 h 5 min", "3 d". */
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)} d`;
  return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
}

/** "14:03:12"; with the day, if it is not today. */
export function clockTime(at) {
  const then = new Date(at);
  const time = `${pad(then.getHours())}:${pad(then.getMinutes())}:${pad(then.getSeconds())}`;
  return then.toDateString() === new Date(now()).toDateString()
    ? time
    : `${then.toLocaleDateString()} ${time}`;
}
