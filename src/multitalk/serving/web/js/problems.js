// Errors where they belong: a sentence below the control that it is about.

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

/** The server's sentences begin small, since a field may stand before them; alone they do not. */
export function asSentence(told) {
  return told.charAt(0).toUpperCase() + told.slice(1);
}
