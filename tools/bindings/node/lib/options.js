// SPDX-License-Identifier: Apache-2.0
// Checks of arguments. A wrong one is a TypeError, before anything is sent.
"use strict";

/** C ends a text at its first NUL, and a lone surrogate would become another character. */
function checkText(name, text) {
  if (typeof text !== "string") throw new TypeError(`${name} must be a string`);
  if (/[\0\p{Surrogate}]/u.test(text)) throw new TypeError(`${name} has a NUL or a lone surrogate`);
}

function checkNumber(name, number) {
  if (typeof number === "number" && !Number.isNaN(number)) return;
  throw new TypeError(`${name} must be a number`);
}

function checkToken(name, token) {
  if (typeof token !== "bigint") throw new TypeError(`${name} must be a BigInt`);
}

function checkFlag(name, flag) {
  if (typeof flag !== "boolean") throw new TypeError(`${name} must be true or false`);
}

function checkFunction(name, value) {
  if (typeof value !== "function") throw new TypeError(`${name} must be a function`);
}

function checkTexts(name, texts) {
  if (!Array.isArray(texts)) throw new TypeError(`${name} must be an array of strings`);
  for (const text of texts) checkText(name, text);
}

/** The words of an enumeration, which the addon gets as numbers. */
const words = (...known) => Object.assign((name, word) => {
  if (!known.includes(word)) throw new TypeError(`${name} must be one of ${known.join(", ")}`);
}, { known });

/** Checks the options, and leaves out those that are undefined. */
function checked(options, known) {
  const found = {};
  for (const [name, value] of Object.entries(options ?? {})) {
    if (!Object.hasOwn(known, name)) throw new TypeError(`there is no option ${name}`);
    if (value === undefined) continue;
    known[name](name, value);
    found[name] = value;
  }
  return found;
}

// The options that all kinds of stores have.
const RELEASE = { note: checkText, keep: checkNumber };
const BREAK = { reason: checkText, by: checkText, token: checkToken };
const LIST = {
  keys: checkTexts, prefix: checkText, owner: checkText, expired: checkFlag, malformed: checkFlag,
  all: checkFlag, limit: checkNumber,
};
const WATCH = { keys: checkTexts, prefix: checkText, after: checkText };

module.exports = {
  BREAK, LIST, RELEASE, WATCH, checkFlag, checkFunction, checkNumber, checkText, checkTexts,
  checked, words,
};
