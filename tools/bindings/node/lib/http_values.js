// SPDX-License-Identifier: Apache-2.0
// What `leasehold serve` sends, as the values of index.d.ts.
"use strict";

/** JSON.parse() would round a token above 2^53: it becomes a string first. A quote inside of a
 * string has a backslash in front, so no text is taken for a token. */
function parse(text) {
  return JSON.parse(text.replace(/("token"\s*:\s*)(-?\d+)/g, '$1"$2"'));
}

/** The other way: a token is a BigInt. */
function encode({ token, ...rest }) {
  const text = JSON.stringify(rest);
  if (token === undefined) return text;
  return `${text.slice(0, -1)}${text.length > 2 ? "," : ""}"token":${token}}`;
}

const instant = (text, otherwise) => (text ? Date.parse(text) : otherwise);
const tokenOf = (json) => BigInt(json.token ?? 0);

function ownerOf(json) {
  const { owner, host, purpose, pid, mode } = json;
  return {
    owner: owner ?? "",
    host: host ?? "",
    purpose: purpose ?? "",
    pid: pid ?? 0,
    shared: mode === "shared",
    token: tokenOf(json),
  };
}

function holderOf(json) {
  return {
    ...ownerOf(json),
    acquiredAt: instant(json.acquired_at, 0),
    expiresAt: instant(json.expires_at, Infinity),
    remaining: json.remaining_ms ?? Infinity,
    kept: json.kept,
  };
}

function waiterOf(json) {
  return {
    owner: json.owner ?? "",
    purpose: json.purpose ?? "",
    shared: json.mode === "shared",
    since: instant(json.since, 0),
  };
}

function noteOf(json) {
  if (!json) return undefined;
  return { text: json.text, token: tokenOf(json), at: instant(json.at, 0) };
}

function releasedOf(json) {
  if (!json) return undefined;
  const { how, owner, by, reason } = json;
  const at = instant(json.at, 0);
  return { how, owner: owner ?? "", by: by ?? "", reason: reason ?? "", at };
}

function statusOf(json) {
  return {
    key: json.key,
    state: json.state,
    problem: json.problem ?? "",
    token: tokenOf(json),
    holders: json.holders.map(holderOf),
    waiters: json.waiters.map(waiterOf),
    released: releasedOf(json.released),
    note: noteOf(json.note),
  };
}

function eventOf(json) {
  return {
    kind: json.event,
    id: json.id ?? "",
    key: json.key ?? "",
    at: instant(json.at, 0),
    how: json.how ?? "",
    ...ownerOf(json),
    expiresAt: instant(json.expires_at, Infinity),
    by: json.by ?? "",
    reason: json.reason ?? "",
    note: json.note?.text ?? "",
    keptUntil: instant(json.kept_until, 0),
  };
}

module.exports = { encode, eventOf, holderOf, noteOf, parse, statusOf };
