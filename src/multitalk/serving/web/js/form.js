// From the form to a job's input, and from a job's problems back to the form.

import { language, say, text } from "./language.js";
import { problemsOf, showProblem } from "./problems.js";
import { STRINGS } from "./strings.js";

const $ = (id) => document.getElementById(id);
const CONTROLS = ["prompt", "engine", "resolution", "quality", "motion", "seed", "label", "profile", "sample_steps"];
const DEFAULTS = { engine: "auto", quality: "standard", motion: "1" };
const LIMITS = { seed: [0, Number.MAX_SAFE_INTEGER], sample_steps: [1, 100] };

/** Tells `change` when a setting is another one. */
export class Form extends EventTarget {
  #portrait;
  #voices;
  #engine = ""; // that the server takes where none is chosen
  #engines = [];
  #isDefaultPrompt = true;

  constructor(portrait, voices) {
    super();
    this.#portrait = portrait;
    this.#voices = voices;
    for (const name of CONTROLS) {
      $(name).addEventListener("input", () => {
        this.#say(name, null);
        this.#isDefaultPrompt &&= name !== "prompt";
        this.#showEngineRows();
        this.dispatchEvent(new Event("change"));
      });
    }
    document.addEventListener("language", () => this.#writeDefaults());
    this.#writeDefaults();
  }

  /** The engines that the server's workers have, and the one it takes where none is chosen. */
  offer(engines, engine) {
    this.#engines = engines;
    this.#engine = engine;
    this.#writeDefaults();
    this.#showEngineRows();
  }

  /**
   * Whether everything is there, and nothing known to be wrong. What is missing is said where it is
   * missing, if `aloud`; what is known to be wrong always is.
   */
  isComplete({ aloud }) {
    const missing = [];
    const look = (sentence, tell, focus) => {
      if (aloud) tell(sentence);
      if (sentence) missing.push(focus);
    };
    const known = this.#portrait.known({ needsFace: !this.#isDiffusion() });
    if (known) this.#portrait.problem(known);
    const picture = known ?? this.#portrait.missing();
    look(picture, (told) => this.#portrait.problem(told), () => $("portrait-file").focus());
    for (const voice of this.#voices.all)
      look(voice.missing(), (told) => voice.problem(told), () => voice.focus());
    const { faceless } = this.#voices;
    if (faceless) missing.push(() => faceless.focus());
    const prompt = $("prompt").value.trim() ? null : text("need_prompt");
    look(prompt, (told) => this.#say("prompt", told), () => $("prompt").focus());
    for (const [name, limits] of Object.entries(LIMITS))
      look(this.#numberProblem(name, limits), (told) => this.#say(name, told), () => this.#focus(name));
    if (aloud) missing[0]?.();
    return !missing.length;
  }

  /** A job's input; waits until its files are sent. */
  async input() {
    const voices = this.#voices.all.map(async (voice) => [this.#voices.nameOf(voice), await voice.value()]);
    const input = {
      prompt: $("prompt").value.trim(),
      image_path: await this.#portrait.sending,
      audio_paths: Object.fromEntries(await Promise.all(voices)),
      engine: $("engine").value,
      locale: language(),
    };
    const order = this.#voices.order;
    const boxes = this.#voices.boxes();
    if (order) input.audio_type = order;
    if (boxes) input.bbox = boxes;
    if ($("resolution").value) input.resolution = $("resolution").value;
    if ($("seed").value) input.seed = $("seed").valueAsNumber;
    if ($("label").value.trim()) input.label = $("label").value.trim();
    if (!this.#isDiffusion()) input.quality = $("quality").value;
    if (!this.#isDiffusion()) input.motion = Number($("motion").value);
    if (this.#isDiffusion() && $("profile").value) input.profile = $("profile").value;
    if (this.#isDiffusion() && $("sample_steps").value) input.sample_steps = $("sample_steps").valueAsNumber;
    return input;
  }

  /** What tells whether something is another than before. */
  get signature() {
    const settings = CONTROLS.map((name) => $(name).value);
    const { name, size, lastModified } = this.#portrait.file ?? {};
    return JSON.stringify([settings, name, size, lastModified, this.#voices.signature]);
  }

  /** Whether a person has put nothing into it. */
  get isEmpty() {
    return !this.#portrait.file && this.#voices.isEmpty;
  }

  /** Take over the settings of a job's input. */
  restore(input) {
    $("prompt").value = input.prompt ?? "";
    this.#isDefaultPrompt = Object.values(STRINGS).some((one) => one.prompt_default === input.prompt);
    for (const name of CONTROLS.slice(1)) {
      const control = $(name);
      control.value = input[name] ?? "";
      if (control.selectedIndex < 0) control.value = DEFAULTS[name] ?? "";
    }
    this.#writeDefaults();
    this.#showEngineRows();
  }

  /** Take all problems away, but for what is still known to be wrong. */
  clearProblems() {
    this.#portrait.problem(null);
    this.#voices.problem(null);
    for (const voice of this.#voices.all) voice.problem(null);
    for (const name of CONTROLS) this.#say(name, null);
    showProblem($("form-problem"), null);
    this.#voices.showKnown();
    const known = this.#portrait.known({ needsFace: !this.#isDiffusion() });
    if (known) this.#portrait.problem(known);
  }

  /**
   * Say each problem of an error at its control, and go to the first if it is wanted; settles with
   * what belongs to none of them.
   */
  place(error, { focused = true } = {}) {
    const homeless = [];
    let focus = null;
    for (const [field, sentence] of problemsOf(error)) {
      const go = this.#placeOne(field ?? "", sentence);
      if (go) focus ??= go;
      else homeless.push(sentence);
    }
    if (focused) focus?.();
    return homeless.length ? homeless.join("\n") : null;
  }

  // Says a problem; how to go there, or null where there is no place for it.
  #placeOne(field, sentence) {
    const [name, speaker] = field.split(/[.[]/);
    const voice = this.#voices.named(speaker);
    if (name === "image_path") {
      this.#portrait.problem(sentence);
      return () => $("portrait-file").focus();
    }
    if (name === "audio_paths" && voice) {
      voice.problem(sentence);
      return () => voice.focus();
    }
    if (name === "bbox" && voice) {
      voice.faceProblem(sentence);
      return () => voice.focus();
    }
    if (name === "audio_paths" || name === "audio_type") {
      this.#voices.problem(sentence);
      return () => $("add-voice").focus();
    }
    if (!CONTROLS.includes(name)) return null;
    this.#say(name, sentence);
    return () => this.#focus(name);
  }

  #say(name, sentence) {
    showProblem($(`${name}-problem`), sentence, $(name));
  }

  #focus(name) {
    if ($("options").contains($(name))) $("options").open = true;
    $(name).focus();
  }

  #numberProblem(name, [low, high]) {
    const control = $(name);
    const number = control.valueAsNumber;
    const isEmpty = !control.value && !control.validity.badInput;
    if (isEmpty || (Number.isInteger(number) && number >= low && number <= high)) return null;
    return text("need_number", { low, high });
  }

  #isDiffusion() {
    const chosen = $("engine").value;
    return (chosen === "auto" ? this.#engine : chosen) === "diffusion";
  }

  #showEngineRows() {
    const isActed = this.#engines.includes("diffusion");
    $("engine-row").hidden = this.#engines.length < 2;
    $("scene-place").hidden = !isActed;
    const place = isActed ? $("scene-place") : $("options");
    if ($("scene").parentElement !== place) place.append($("scene"));
    say($("prompt-note"), isActed ? "prompt_note" : "prompt_note_warp");
    this.#voices.needsFaces = !this.#isDiffusion();
    for (const row of document.querySelectorAll(".for-diffusion")) row.hidden = !this.#isDiffusion();
    for (const row of document.querySelectorAll(".for-warp")) row.hidden = this.#isDiffusion();
  }

  #writeDefaults() {
    if (this.#isDefaultPrompt) $("prompt").value = text("prompt_default");
    const chosen = $("engine").value || "auto";
    const options = this.#engines.map((name) => new Option(text(`engine_${name}`), name));
    $("engine").replaceChildren(new Option(text("engine_auto", { engine: this.#engine }), "auto"), ...options);
    $("engine").value = chosen;
    if ($("engine").selectedIndex < 0) $("engine").value = "auto";
  }
}
