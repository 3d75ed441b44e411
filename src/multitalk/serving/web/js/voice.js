// One voice: a text, a file or a recording, as a card in the list.

import { duration, language, say, text, translate } from "./language.js";
import { knownCode, languageOptions } from "./languages.js";
import { Listening } from "./listening.js";
import { problemsOf, showProblem } from "./problems.js";
import { Recorder } from "./recorder.js";
import { hasPitch, speakerOptions } from "./speakers.js";

/** Tells `change` when what it says is another thing, and `wants` (detail: what) by its buttons. */
export class Voice extends EventTarget {
  face = null; // index among the portrait's faces, or null

  #server;
  #sources = { file: null, record: null }; // {file, sending, address}: what is heard, by kind
  #refused = null; // why the server does not take the file, as a sentence
  #recorder = null;
  #languages = [];
  #speakers = [];
  #wanted = null; // {code, voice} of a text that came before these lists
  #listening;

  constructor(server, { languages, speakers, name }) {
    super();
    this.#server = server;
    this.node = document.getElementById("voice-template").content.firstElementChild.cloneNode(true);
    translate(this.node);
    for (const radio of this.#all(".kinds input")) {
      radio.name = `kind-${name}`;
      radio.checked = radio.value === "text";
      radio.addEventListener("change", () => this.#turnTo(radio.value));
    }
    const problem = this.#one(".body > .problem");
    problem.id = `problem-${name}`;
    for (const control of this.#all("textarea, .drop input, .record-button"))
      control.setAttribute("aria-describedby", problem.id);
    for (const part of ["language", "speaker", "speed", "pitch"])
      this.#label(`.${part}-label`, `.${part}`, `${part}-${name}`);
    this.#label(".whose label", ".face-choice", `face-${name}`);
    this.offer({ languages, speakers });
    this.#listening = new Listening(server, this.#one(".try"), () => this.#spoken(), (told) => this.problem(told));
    for (const control of this.#all("textarea, .language, .speaker, .speed, .pitch"))
      control.addEventListener("input", () => {
        this.#listening.stop();
        this.#showTuning();
        this.#changed();
      });
    this.#one(".earlier").addEventListener("click", () => this.#want("earlier"));
    this.#one(".remove").addEventListener("click", () => this.#want("remove"));
    this.#one(".face-choice").addEventListener("change", ({ target }) => this.#want(Number(target.value)));
    this.#one(".drop input").addEventListener("change", ({ target }) => {
      if (target.files.length) this.take(target.files[0]);
      target.value = "";
    });
    this.#one(".record-button").addEventListener("click", () => this.#record());
    if (!Recorder.isPossible()) {
      this.#one(".record-button").disabled = true;
      say(this.#one(".record-why"), "record_insecure");
    }
    this.#takeDrops();
  }

  get kind() {
    return this.#one(".kinds input:checked").value;
  }

  /** What tells whether it is another voice than before. */
  get signature() {
    const { file } = this.#sources[this.kind] ?? {};
    const heard = this.kind === "text" ? this.#spoken() : [file?.name, file?.size, file?.lastModified];
    return JSON.stringify([this.kind, heard, this.face]);
  }

  /** Whether nothing was put into it. */
  get isEmpty() {
    return !this.#one("textarea").value.trim() && !this.#sources.file && !this.#sources.record;
  }

  /** A text to be spoken, as jobs have it. */
  set words({ text: said, language: code, voice, speed = 1, pitch = 0 }) {
    this.#one(`.kinds input[value="text"]`).checked = true;
    this.#one("textarea").value = said;
    this.#wanted = { code: code ?? "", voice: voice ?? "" };
    this.#choose();
    this.#one(".speed").value = speed;
    this.#one(".pitch").value = pitch;
    this.#one(".tuning").open = speed !== 1 || pitch !== 0;
    this.#showTuning();
    this.#turnTo("text");
  }

  /** A voice of which only is known that it was a file. */
  lack() {
    this.#one(`.kinds input[value="file"]`).checked = true;
    this.#turnTo("file");
    this.problem(text("voice_elsewhere"));
  }

  /** Take a file as this voice, and send it. */
  take(file, kind = "file") {
    this.#forget(kind);
    this.#refused = null;
    const abort = new AbortController();
    const source = { file, abort, address: URL.createObjectURL(file) };
    this.#sources[kind] = source;
    this.#one(`.kinds input[value="${kind}"]`).checked = true;
    if (kind === "file") {
      const name = this.#one(".drop .name");
      delete name.dataset.text;
      name.textContent = file.name;
      this.#one(".drop").classList.add("filled");
    }
    const state = this.#one(".state");
    const sent = (share) => say(state, "voice_sending", { percent: Math.round(share * 100) });
    const wanted = { medium: /audio|video/, otherwise: "not_a_voice", signal: abort.signal, onProgress: sent };
    source.sending = this.#server.upload(file, wanted).then(
      (address) => (say(state, null), address),
      (error) => {
        say(state, null);
        if (error.name === "AbortError") throw error;
        this.#forget(kind);
        this.#turnTo(this.kind);
        this.#refused = problemsOf(error)[0][1];
        this.problem(this.#refused);
        throw error;
      },
    );
    source.sending.catch(() => {}); // it is told here; whoever needs the voice asks again
    this.#turnTo(kind);
  }

  /** What a job's `audio_paths` has for it; waits until a file is sent. */
  async value() {
    return this.kind === "text" ? this.#spoken() : this.#sources[this.kind].sending;
  }

  /** What is missing, as a sentence, or null. */
  missing() {
    const needs = { text: "need_text", file: "need_file", record: "need_recording" }[this.kind];
    const given = this.kind === "text" ? this.#one("textarea").value.trim() : this.#sources[this.kind];
    if (given) return null;
    return (this.kind !== "text" && this.#refused) || text(needs);
  }

  /** Show a sentence at the voice, or take it away. */
  problem(sentence) {
    showProblem(this.#one(".body > .problem"), sentence, this.#control());
  }

  /** Show a sentence at the choice of its face, or take it away. */
  faceProblem(sentence) {
    showProblem(this.#one(".face-problem"), sentence, this.#one(".face-choice"));
  }

  focus() {
    this.#control().focus();
  }

  /** Its place in the list, what can be done with it, and the faces that it may have. */
  place({ index, count, faces, ordered, needsFace }) {
    const number = index + 1;
    this.#one(".number").textContent = number;
    this.#one("legend").textContent = text("voice", { number });
    this.#one(".remove").hidden = count === 1;
    this.#one(".earlier").hidden = index === 0 || !ordered;
    this.#one(".grip").classList.toggle("loose", faces > 1);
    this.#one(".whose").hidden = faces === 0 || (faces === 1 && count === 1);
    const choices = Array.from({ length: faces }, (_, face) => new Option(text("face", { number: face + 1 }), face));
    if (this.face === null) choices.unshift(new Option("–", "", true, true));
    const choice = this.#one(".face-choice");
    choice.replaceChildren(...choices);
    choice.value = this.face ?? "";
    this.faceProblem(needsFace && this.lacksFace(faces) ? text("face_taken") : null);
  }

  /** Whether all faces of the portrait are taken by others. */
  lacksFace(faces) {
    return this.face === null && faces > 0;
  }

  /** Offer languages and voices for a text, in the page's own words. */
  offer({ languages, speakers }) {
    this.#languages = languages;
    this.#speakers = speakers;
    fill(this.#one(".language"), languageOptions(languages));
    fill(this.#one(".speaker"), speakerOptions(speakers));
    this.#choose();
    this.#one(".try").hidden = !speakers.length;
    this.#showTuning();
  }

  /** Let go of what it holds, when it is removed. */
  close() {
    this.#forget("file");
    this.#forget("record");
    this.#recorder?.stop();
    this.#listening.stop();
  }

  // Choose what a text came with, as soon as the server has said what there is.
  #choose() {
    if (!this.#wanted || !this.#languages.length) return;
    const { code, voice } = this.#wanted;
    this.#one(".language").value = knownCode(this.#languages, code);
    this.#one(".speaker").value = voice;
    if (this.#one(".speaker").selectedIndex < 0) this.#one(".speaker").value = "";
    this.#wanted = null;
  }

  // The text with all that is chosen for it, what is left as it is left out.
  #spoken() {
    const chosen = { code: this.#one(".language").value, voice: this.#one(".speaker").value };
    const { code, voice } = this.#wanted ?? chosen;
    const [speed, pitch] = [this.#one(".speed").valueAsNumber, this.#one(".pitch").valueAsNumber];
    return {
      text: this.#one("textarea").value,
      ...(code && { language: code }),
      ...(voice && { voice }),
      ...(speed !== 1 && { speed }),
      ...(pitch !== 0 && hasPitch(voice) && { pitch }),
    };
  }

  #showTuning() {
    const [speed, pitch] = [this.#one(".speed").valueAsNumber, this.#one(".pitch").valueAsNumber];
    const speeds = text("speed_value", { value: speed.toLocaleString(language()) });
    const pitches = text("pitch_value", { value: `${pitch > 0 ? "+" : ""}${pitch.toLocaleString(language())}` });
    this.#one(".speed-told").textContent = speeds;
    this.#one(".pitch-told").textContent = pitches;
    this.#one(".speed").setAttribute("aria-valuetext", speeds);
    this.#one(".pitch").setAttribute("aria-valuetext", pitches);
    this.#one(".pitch").disabled = !hasPitch(this.#one(".speaker").value);
  }

  #one(selector) {
    return this.node.querySelector(selector);
  }

  #all(selector) {
    return this.node.querySelectorAll(selector);
  }

  #label(label, control, id) {
    this.#one(control).id = id;
    this.#one(label).htmlFor = id;
  }

  #control() {
    return this.#one({ text: "textarea", file: ".drop input", record: ".record-button" }[this.kind]);
  }

  #changed() {
    this.problem(null);
    this.dispatchEvent(new Event("change"));
  }

  #want(detail) {
    this.dispatchEvent(new CustomEvent("wants", { detail }));
  }

  #forget(kind) {
    const source = this.#sources[kind];
    if (!source) return;
    source.abort.abort();
    URL.revokeObjectURL(source.address);
    this.#sources[kind] = null;
    if (kind === "file") {
      say(this.#one(".drop .name"), "voice_drop");
      this.#one(".drop").classList.remove("filled");
    }
  }

  #turnTo(kind) {
    for (const pane of this.#all(".pane")) pane.hidden = !pane.classList.contains(kind);
    const source = this.#sources[kind];
    const player = this.#one("audio");
    player.hidden = !source;
    if (source) player.src = source.address;
    else player.removeAttribute("src");
    this.#listening.stop();
    if (!this.#recorder) say(this.#one(".record-text"), this.#sources.record ? "record_again" : "record");
    for (const control of this.#all("[aria-invalid]")) control.removeAttribute("aria-invalid");
    this.#changed();
  }

  async #record() {
    const button = this.#one(".record-button");
    if (this.#recorder) {
      const recorder = this.#recorder;
      button.disabled = true;
      const file = await recorder.stop();
      this.#recorder = null;
      button.disabled = false;
      button.classList.remove("recording");
      this.#one(".level span").style.transform = "";
      this.take(file, "record");
      return;
    }
    this.problem(null);
    const recorder = new Recorder();
    try {
      await recorder.start((level, seconds) => {
        this.#one(".level span").style.transform = `scaleX(${level})`;
        this.#one(".clock").textContent = duration(seconds);
      });
    } catch {
      this.problem(text("record_refused"));
      return;
    }
    this.#recorder = recorder;
    button.classList.add("recording");
    say(this.#one(".record-text"), "record_stop");
  }

  #takeDrops() {
    this.node.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.node.classList.add("over");
    });
    this.node.addEventListener("dragleave", () => this.node.classList.remove("over"));
    this.node.addEventListener("drop", (event) => {
      event.preventDefault();
      this.node.classList.remove("over");
      if (event.dataTransfer.files.length) this.take(event.dataTransfer.files[0]);
    });
  }
}

// Other options, the same choice.
function fill(select, options) {
  const chosen = select.value;
  select.replaceChildren(...options);
  select.value = chosen;
  if (select.selectedIndex < 0) select.value = "";
}
