// The list of voices, and whose face each of them has.

import { say, text } from "./language.js";
import { showProblem } from "./problems.js";
import { Voice } from "./voice.js";

const $ = (id) => document.getElementById(id);

/** Tells `change` when a voice, its place or its face is another one. */
export class Voices extends EventTarget {
  #server;
  #portrait;
  #offered = { languages: [], speakers: [] };
  #voices = [];
  #needsFaces = true;
  #named = 0;

  constructor(server, portrait) {
    super();
    this.#server = server;
    this.#portrait = portrait;
    portrait.addEventListener("change", () => this.#deal());
    document.addEventListener("language", () => {
      for (const voice of this.#voices) voice.offer(this.#offered);
      this.#changed();
    });
    $("add-voice").addEventListener("click", () => this.add().focus());
    $("order").addEventListener("change", () => this.#changed());
    this.add();
  }

  get all() {
    return this.#voices;
  }

  /** `add` (in turn) or `para` (together); null where there is only one. */
  get order() {
    return this.#voices.length > 1 ? $("order").querySelector("input:checked").value : null;
  }

  /** Put in order how several voices follow each other: `add` or `para`. */
  set order(wanted) {
    const radio = $("order").querySelector(`input[value="${wanted === "add" ? "add" : "para"}"]`);
    radio.checked = true;
    this.#changed();
  }

  /** What texts can be spoken in and with: `{languages, speakers}`. */
  set offered(offered) {
    this.#offered = offered;
    for (const voice of this.#voices) voice.offer(offered);
  }

  /** Whether each voice moves a face of its own. */
  set needsFaces(needed) {
    if (needed === this.#needsFaces) return;
    this.#needsFaces = needed;
    this.#changed();
  }

  /** What tells whether something is another than before. */
  get signature() {
    return JSON.stringify([this.order, this.#voices.map(({ signature }) => signature)]);
  }

  /** Whether nothing was put into any of them. */
  get isEmpty() {
    return this.#voices.every(({ isEmpty }) => isEmpty);
  }

  /** The first voice that no face is left for, or undefined. */
  get faceless() {
    const faces = this.#portrait.faces.length;
    return this.#needsFaces ? this.#voices.find((voice) => voice.lacksFace(faces)) : undefined;
  }

  /** So many voices, new ones, in place of those that there are. */
  renew(count) {
    for (const voice of this.#voices.splice(0)) {
      voice.close();
      voice.node.remove();
    }
    return Array.from({ length: Math.max(1, count) }, () => this.add());
  }

  /** Give voices the faces that boxes of a job are at, in the order of the voices. */
  assignBoxes(boxes) {
    for (const [index, box] of boxes.entries()) {
      const voice = this.#voices[index];
      if (!box || !voice) continue;
      const face = nearest(this.#portrait.faces, box);
      if (face >= 0) this.assign(voice, face);
    }
  }

  add() {
    const voice = new Voice(this.#server, { ...this.#offered, name: (this.#named += 1) });
    voice.addEventListener("change", () => this.#tell());
    voice.addEventListener("wants", ({ detail }) => this.#grant(voice, detail));
    voice.node.querySelector(".grip").addEventListener("pointerdown", (event) => this.#drag(voice, event));
    this.#voices.push(voice);
    $("voices").append(voice.node);
    voice.face = this.#freeFace();
    this.#changed();
    return voice;
  }

  /** Name of a voice in a job's `audio_paths`: the server's sentences use it. */
  nameOf(voice) {
    return text("voice", { number: this.#voices.indexOf(voice) + 1 });
  }

  /** The voice of a name, whichever language the page had when it gave it. */
  named(name) {
    const number = /\d+$/.exec(name ?? "");
    return number ? this.#voices[Number(number[0]) - 1] : undefined;
  }

  /** Show again what is known to be wrong. */
  showKnown() {
    this.#place();
  }

  /** A job's `bbox`: whose face is where; null where that goes without saying. */
  boxes() {
    const faces = this.#portrait.faces;
    if (faces.length < 2 || this.#voices.some(({ face }) => face === null)) return null;
    return Object.fromEntries(this.#voices.map((voice) => [this.nameOf(voice), faces[voice.face].box]));
  }

  /** Show a sentence at the whole list, or take it away. */
  problem(sentence) {
    showProblem($("voices-problem"), sentence);
  }

  /** Give a voice a face; who had that face gets the other's. */
  assign(voice, face) {
    const other = this.#voices.find((one) => one.face === face);
    if (other && other !== voice) other.face = voice.face;
    voice.face = face;
    this.#changed();
  }

  #grant(voice, wanted) {
    if (typeof wanted === "number") return this.assign(voice, wanted);
    const index = this.#voices.indexOf(voice);
    if (wanted === "remove") {
      this.#voices.splice(index, 1);
      voice.close();
      voice.node.remove();
      this.#voices[Math.max(0, index - 1)].focus();
      for (const one of this.#voices) one.face ??= this.#freeFace();
    } else {
      const before = this.#voices[index - 1];
      this.#voices.splice(index - 1, 2, voice, before);
      before.node.before(voice.node);
      voice.node.querySelector(index === 1 ? ".remove" : ".earlier").focus();
    }
    return this.#changed();
  }

  #freeFace() {
    const taken = this.#voices.map(({ face }) => face);
    const free = this.#portrait.faces.findIndex((_, face) => !taken.includes(face));
    return free < 0 ? null : free;
  }

  /** Other faces: voices get them from left to right. */
  #deal() {
    for (const voice of this.#voices) voice.face = null;
    for (const voice of this.#voices) voice.face = this.#freeFace();
    this.#changed();
  }

  #changed() {
    const count = this.#voices.length;
    $("order").hidden = count < 2;
    this.#place();
    this.#showFaces();
    this.problem(null);
    this.#tell();
  }

  #place() {
    const [count, faces] = [this.#voices.length, this.#portrait.faces.length];
    const rest = { count, faces, ordered: this.order === "add", needsFace: this.#needsFaces };
    for (const [index, voice] of this.#voices.entries()) voice.place({ index, ...rest });
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }

  #showFaces() {
    const { faces, size } = this.#portrait;
    $("faces").replaceChildren(
      ...faces.map(({ box: [left, top, right, bottom] }, index) => {
        const outline = document.createElement("div");
        outline.className = "face";
        outline.dataset.face = index;
        outline.style.left = `${(left / size.width) * 100}%`;
        outline.style.top = `${(top / size.height) * 100}%`;
        outline.style.width = `${((right - left) / size.width) * 100}%`;
        outline.style.height = `${((bottom - top) / size.height) * 100}%`;
        const number = this.#voices.findIndex(({ face }) => face === index) + 1;
        outline.dataset.voices = number || "";
        const label = document.createElement("span");
        if (number) say(label, "face_voice", { number });
        else if (this.#voices.length > 1 || faces.length > 1)
          label.textContent = `${text("face", { number: index + 1 })} · ${text("face_silent")}`;
        outline.append(label);
        return outline;
      }),
    );
  }

  /** A voice's number follows the pointer, and is dropped onto a face. */
  #drag(voice, event) {
    const grip = event.currentTarget;
    if (!grip.classList.contains("loose") || event.button !== 0) return;
    event.preventDefault();
    grip.setPointerCapture(event.pointerId);
    const ghost = grip.cloneNode(true);
    ghost.classList.add("ghost");
    document.body.append(ghost);
    document.body.classList.add("dragging");
    let aimed = null;
    const follow = ({ clientX, clientY }) => {
      ghost.style.translate = `${clientX - 18}px ${clientY - 18}px`;
      aimed?.classList.remove("aimed");
      aimed = document.elementsFromPoint(clientX, clientY).find((one) => one.matches(".face")) ?? null;
      aimed?.classList.add("aimed");
    };
    const end = (isDropped) => {
      listening.abort();
      ghost.remove();
      document.body.classList.remove("dragging");
      aimed?.classList.remove("aimed");
      if (isDropped && aimed) this.assign(voice, Number(aimed.dataset.face));
    };
    const listening = new AbortController();
    const { signal } = listening;
    grip.addEventListener("pointermove", follow, { signal });
    grip.addEventListener("pointerup", () => end(true), { signal });
    grip.addEventListener("pointercancel", () => end(false), { signal });
    document.addEventListener("keydown", ({ key }) => key === "Escape" && end(false), { signal });
    follow(event);
  }
}

// The face whose middle is nearest to a box's; -1 where there is none.
function nearest(faces, box) {
  const middle = ([left, top, right, bottom]) => [(left + right) / 2, (top + bottom) / 2];
  const [x, y] = middle(box);
  const distances = faces.map(({ box: own }) => Math.hypot(middle(own)[0] - x, middle(own)[1] - y));
  return distances.indexOf(Math.min(...distances));
}
