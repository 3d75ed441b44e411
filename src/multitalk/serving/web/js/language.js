// The page's language: which one it is, and texts that follow when it is switched.
//
// An element says what it shows by `data-text` (its text), `data-label` (its name for screen
// readers), `data-hint`, `data-placeholder` or `data-alt`: a key of strings/*.json; `data-values` fills the text's
// placeholders. So one walk over the page is all that a switch takes.

import { STRINGS } from "./strings.js"; // made by the server from strings/*.json

const REMEMBERED = "multitalk-language";

let current = chosen();

function chosen() {
  const wanted = [localStorage.getItem(REMEMBERED), ...navigator.languages];
  for (const tag of wanted) {
    const short = (tag ?? "").slice(0, 2).toLowerCase();
    if (short in STRINGS) return short;
  }
  return "en";
}

export function language() {
  return current;
}

/** The codes of all languages of the page. */
export function languages() {
  return Object.keys(STRINGS);
}

/** Switch, and remember it; everything on the page that has a key is written anew. */
export function switchLanguage(wanted) {
  current = wanted;
  localStorage.setItem(REMEMBERED, wanted);
  translate(document);
  document.dispatchEvent(new Event("language"));
}

/** A text, its placeholders filled. */
export function text(key, values = {}) {
  return STRINGS[current][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Make an element show a text, now and after a switch; no key: nothing, and it is hidden. */
export function say(element, key, values) {
  element.hidden = !key;
  if (!key) {
    delete element.dataset.text;
    element.textContent = "";
    return;
  }
  element.dataset.text = key;
  if (values) element.dataset.values = JSON.stringify(values);
  else delete element.dataset.values;
  write(element);
}

/** Write every text below a node. */
export function translate(root) {
  if (root === document) document.documentElement.lang = current;
  for (const element of root.querySelectorAll("[data-text]")) write(element);
  for (const element of root.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", text(element.dataset.label));
  for (const element of root.querySelectorAll("[data-hint]")) element.title = text(element.dataset.hint);
  for (const element of root.querySelectorAll("[data-placeholder]"))
    element.placeholder = text(element.dataset.placeholder);
  for (const element of root.querySelectorAll("[data-alt]")) element.alt = text(element.dataset.alt);
}

function write(element) {
  const values = element.dataset.values ? JSON.parse(element.dataset.values) : {};
  element.textContent = text(element.dataset.text, values);
}

/** Seconds as a person says them. */
export function duration(seconds) {
  if (seconds < 90) {
    const count = seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds);
    return text("seconds", { count: count.toLocaleString(current) });
  }
  const [key, unit] = seconds < 5400 ? ["minutes", 60] : seconds < 172_800 ? ["hours", 3600] : ["days", 86_400];
  return text(key, { count: Math.round(seconds / unit).toLocaleString(current) });
}
