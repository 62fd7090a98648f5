// SPDX-License-Identifier: Apache-2.0
// Elements, made without markup: stored strings are text, never HTML.

export const $ = (id) => document.getElementById(id);

/** Characters that are invisible, or that change the direction of the text. The program has the
 * same (tools/common/text.c); a test compares the two. */
export const misleading = [
  [0x0000, 0x001f],
  [0x007f, 0x009f],
  [0x00ad, 0x00ad],
  [0x034f, 0x034f],
  [0x0600, 0x0605],
  [0x061c, 0x061c],
  [0x06dd, 0x06dd],
  [0x070f, 0x070f],
  [0x0890, 0x0891],
  [0x08e2, 0x08e2],
  [0x115f, 0x1160],
  [0x17b4, 0x17b5],
  [0x180b, 0x180f],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x206f],
  [0x3164, 0x3164],
  [0xd800, 0xdfff],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff0, 0xfffb],
  [0x110bd, 0x110bd],
  [0x110cd, 0x110cd],
  [0x13430, 0x1343f],
  [0x1bca0, 0x1bca3],
  [0x1d173, 0x1d17a],
  [0xe0000, 0xe0fff],
];

const misleads = new RegExp(
  `[${misleading.map((range) => range.map((c) => `\\u{${c.toString(16)}}`).join("-")).join("")}]`,
  "gu",
);
const named = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(character) {
  const code = character.codePointAt(0),
    digits = code.toString(16);
  return (
    named[character] ??
    (code < 0x80
      ? `\\x${digits.padStart(2, "0")}`
      : code <= 0xffff
        ? `\\u${digits.padStart(4, "0")}`
        : `\\U${digits.padStart(8, "0")}`)
  );
}

/** The text with misleading characters escaped, as the command line shows it. All text on the page
 * passes through this function. */
export function visible(text) {
  return String(text).replace(misleads, escaped);
}

/** make("p.quiet", "text", child, …); null and undefined children are left out. */
export function make(what, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  element.append(
    ...children
      .filter((child) => child !== null && child !== undefined)
      .map((child) => (child instanceof Node ? child : visible(child))),
  );
  return element;
}

/** A stored string, isolated from the text around it, also if it is written from right to left. */
export function said(text) {
  return make("bdi", text ?? "");
}

/** Sets the text only if it differs, so that unchanged text needs no new layout. */
export function setText(node, text) {
  const shown = visible(text);
  if (node.textContent !== shown) node.textContent = shown;
}

/** A term and its description, for a <dl>; nothing if there is no description. */
export function fact(term, ...what) {
  return what.some((part) => part !== null && part !== undefined && part !== "")
    ? make("div", make("dt", term), make("dd", ...what))
    : null;
}

export function plural(n, one, many) {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}
