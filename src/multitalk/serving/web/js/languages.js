// Languages that texts can be spoken in, the common ones first, each by its own name.

import { language, text } from "./language.js";

// The code that people know, and what a synthesizer may call it.
const COMMON = [
  ["ko"], ["en", "en-us"], ["ja"], ["zh", "cmn"], ["es"], ["de"], ["fr", "fr-fr"], ["pt", "pt-br"], ["it"],
  ["ru"], ["ar"], ["hi"], ["vi"], ["id"], ["th"], ["tr"],
];

/** Options for a select: detection, the common languages by their own names, then all by the page's. */
export function languageOptions(codes) {
  const common = COMMON.map((names) => names.find((name) => codes.includes(name))).filter(Boolean);
  const first = common.map((code) => new Option(ownName(code), code));
  const names = new Intl.DisplayNames([language()], { type: "language", fallback: "code" });
  const others = codes.filter((code) => !common.includes(code)).map((code) => [code, nameOf(code, names)]);
  others.sort(([, one], [, other]) => one.localeCompare(other, language()));
  const group = document.createElement("optgroup");
  group.label = text("languages_all");
  group.append(...others.map(([code, name]) => new Option(name, code)));
  return [new Option(text("language_auto"), ""), ...first, ...(others.length ? [group] : [])];
}

/** The code among these by which a language goes that a job names: itself, another name, its base. */
export function knownCode(codes, wanted) {
  if (!wanted || codes.includes(wanted)) return wanted ?? "";
  const group = COMMON.find((names) => names.includes(wanted.toLowerCase())) ?? [];
  const base = wanted.toLowerCase().split(/[-_]/)[0];
  return [...group, wanted.toLowerCase(), base].find((code) => codes.includes(code)) ?? "";
}

function ownName(code) {
  const short = COMMON.find((names) => names.includes(code))[0];
  const name = nameOf(short, new Intl.DisplayNames([short], { type: "language", fallback: "code" }));
  return name.charAt(0).toLocaleUpperCase(short) + name.slice(1);
}

function nameOf(code, names) {
  try {
    return names.of(code);
  } catch {
    return code; // a tag of the synthesizer's own
  }
}
