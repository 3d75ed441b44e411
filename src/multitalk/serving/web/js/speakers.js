// Whose voice speaks a text: women's, men's and other voices, the plain ones first.

import { text } from "./language.js";

const EITHER = ["female", "male"];
const SERVICE = /^tts:/; // voices of the speech service that the operator has set up

/** Options for a select; `voices` are the server's records: name, gender, recommended. */
export function speakerOptions(voices) {
  const names = new Set(voices.map(({ name }) => name));
  const either = EITHER.filter((name) => names.has(name)).map((name) => new Option(text(`speaker_${name}`), name));
  const single = voices.filter(({ name }) => !EITHER.includes(name));
  const own = single.filter(({ name }) => !SERVICE.test(name));
  const groups = [
    ["speakers_service", single.filter(({ name }) => SERVICE.test(name))],
    ["speakers_female", own.filter(({ gender, recommended }) => recommended && gender === "female")],
    ["speakers_male", own.filter(({ gender, recommended }) => recommended && gender === "male")],
    ["speakers_other", own.filter(({ gender, recommended }) => !recommended || !EITHER.includes(gender))],
  ];
  return [new Option(text("speaker_auto"), ""), ...either, ...groups.filter(([, own]) => own.length).map(group)];
}

/** Whether a voice can be made higher and lower. */
export function hasPitch(name) {
  return !SERVICE.test(name);
}

function group([label, voices]) {
  const node = document.createElement("optgroup");
  node.label = text(label);
  node.append(...voices.map(({ name }) => new Option(name.replace(SERVICE, ""), name)));
  return node;
}
