// SPDX-License-Identifier: Apache-2.0
// Elements, made without markup: what others stored is text, never HTML.

export const $ = (id) => document.getElementById(id);

/** make("p.quiet", "text", child, …); null and undefined children are left out. */
export function make(what, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A string of others: it stands for itself, also when it is written from right to left. */
export function said(text) {
  return make("bdi", text ?? "");
}

/** Sets the text only where it changes: what is the same costs nothing to lay out. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A term and what it is, for a <dl>; nothing where there is nothing to say. */
export function fact(term, ...what) {
  return what.some((part) => part !== null && part !== undefined && part !== "") ? make("div", make("dt", term), make("dd", ...what)) : null;
}

export function plural(n, one, many) {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}
