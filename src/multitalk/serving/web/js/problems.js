// Errors where they belong: a sentence below the control that it is about.

import { text } from "./language.js";

// What the server's sentences call by the names of its interface, and the page by its own.
const WORDS = {
  image_path: "portrait",
  audio_paths: "voices",
  audio_type: "order",
  bbox: "speaks_with",
  sample_steps: "steps",
};
const NAMED = new RegExp(`\\b(${Object.keys(WORDS).join("|")})\\b`, "g");
const SETTINGS = / ?\(?(?:MULTITALK|BUCKET|RUNPOD)_[A-Z_]+\)?/g; // the operator's, not a visitor's

/** Show a sentence at a control; without one, take it away. */
export function showProblem(place, sentence, control) {
  place.textContent = sentence ?? "";
  place.hidden = !sentence;
  if (!control) return;
  if (sentence) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
}

/**
 * The problems of an error of the server: its sentence has a line for each, which begins with the
 * field it is about. Returns pairs of a field (or null) and a sentence.
 */
export function problemsOf({ sentence, field }) {
  const found = [];
  for (const line of sentence.split("\n")) {
    const named = /^([a-z_]+(?:\.[^:]+|\[[^:]+)?): (.+)$/.exec(line);
    if (named) found.push([named[1], named[2]]);
    else if (found.length) found.at(-1)[1] += `\n${line}`;
    else found.push([field ?? null, line]);
  }
  return found.map(([about, told]) => [about, asSentence(told)]);
}

/**
 * A sentence of the server's as the page says it: with the page's words, and with a capital, since
 * the server's begin small where a field may stand before them.
 */
export function asSentence(told) {
  const plain = told.replace(SETTINGS, "").replace(NAMED, (name) => `“${text(WORDS[name])}”`);
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}
