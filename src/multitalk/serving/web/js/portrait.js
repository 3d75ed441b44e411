// The portrait: dropped, pasted, chosen or taken; sent at once, so that its faces are known.

import { say, text } from "./language.js";
import { problemsOf, showProblem } from "./problems.js";

const $ = (id) => document.getElementById(id);

/** Tells `change` whenever the picture or its faces are other ones. */
export class Portrait extends EventTarget {
  file = null;
  faces = []; // {box: [x_min, y_min, x_max, y_max]}, left to right
  size = null; // {width, height} in the pixels of the boxes
  sending = null; // settles with the source that a job names it by

  #server;
  #refused = null; // why the server does not take the picture, as a sentence
  #faceless = null; // why nobody in it can speak, as a key of a sentence; known once faces are
  #abort = null;

  constructor(server) {
    super();
    this.#server = server;
    $("portrait-file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.take(target.files[0]);
      target.value = ""; // the same file may be chosen again
    });
    $("portrait-remove").addEventListener("click", () => {
      this.clear();
      $("portrait-file").focus();
    });
    document.addEventListener("paste", ({ clipboardData }) => {
      const picture = [...clipboardData.files].find((file) => file.type.startsWith("image/"));
      if (picture) this.take(picture);
    });
    this.#takeDrops($("frame"));
  }

  /** Show a picture, send it and look for faces. */
  async take(file) {
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    this.file = file;
    this.#forgetFaces();
    this.problem(null);
    this.#show();
    this.sending = this.#server.upload(file, { signal, medium: "image", otherwise: "not_a_picture" });
    this.#changed();
    say($("portrait-note"), "portrait_sending");
    try {
      const source = await this.sending;
      say($("portrait-note"), "portrait_looking");
      const found = await this.#server.faces(source);
      if (signal.aborted) return;
      this.faces = found.faces.filter(({ height }) => height >= found.smallest);
      this.size = { width: found.width, height: found.height };
      this.#tell(found);
    } catch (error) {
      if (signal.aborted) return;
      say($("portrait-note"), null);
      this.file = this.sending = null; // nothing that could be shown, or sent
      this.#show();
      this.#refused = error.sentence ? problemsOf(error)[0][1] : error.message;
      this.problem(this.#refused);
    }
    this.#changed();
  }

  clear() {
    this.#abort?.abort();
    this.file = this.sending = null;
    this.#forgetFaces();
    say($("portrait-note"), null);
    this.problem(null);
    this.#show();
    this.#changed();
  }

  /** Show a sentence at the portrait, or take it away. */
  problem(sentence) {
    showProblem($("portrait-problem"), sentence, $("portrait-file"));
    $("portrait-note").hidden = Boolean(sentence) || !$("portrait-note").textContent;
  }

  /** What is missing, as a sentence, or null. */
  missing() {
    return this.file ? null : text("need_portrait");
  }

  /** What is known to be wrong with it, as a sentence, or null; `needsFace`: somebody's face moves. */
  known({ needsFace }) {
    return this.#refused ?? (needsFace && this.#faceless ? text(this.#faceless) : null);
  }

  #forgetFaces() {
    this.faces = [];
    this.size = this.#refused = null;
    this.#faceless = null;
  }

  // How many can speak, or why nobody can; and what else will be done with the picture.
  #tell({ faces, unread, turned }) {
    const count = this.faces.length;
    if (!count) {
      this.#faceless = faces.length ? "faces_small" : unread.length ? "faces_unread" : "faces_none";
      return say($("portrait-note"), null);
    }
    const key = count > 1 ? "faces_many" : turned ? "faces_one_turned" : "faces_one";
    return say($("portrait-note"), key, { count });
  }

  #show() {
    const picture = $("portrait");
    if (picture.src) URL.revokeObjectURL(picture.src);
    if (this.file) picture.src = URL.createObjectURL(this.file);
    else picture.removeAttribute("src");
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #takeDrops(frame) {
    let depth = 0; // of elements that the pointer is in: leaving a child is not leaving
    const over = (change) => {
      depth = Math.max(0, depth + change);
      frame.classList.toggle("over", depth > 0);
    };
    frame.addEventListener("dragenter", (event) => (event.preventDefault(), over(1)));
    frame.addEventListener("dragleave", () => over(-1));
    frame.addEventListener("dragover", (event) => event.preventDefault());
    frame.addEventListener("drop", (event) => {
      event.preventDefault();
      over(-depth);
      if (event.dataTransfer.files.length) this.take(event.dataTransfer.files[0]);
    });
    // A file that misses its place must not take the page away.
    for (const name of ["dragover", "drop"])
      document.addEventListener(name, (event) => event.preventDefault());
  }
}
