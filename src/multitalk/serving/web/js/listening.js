// How a text sounds with a voice, before a video is made of it.

import { say } from "./language.js";
import { problemsOf } from "./problems.js";

const MAX_CHARACTERS = 300; // of a text; enough to hear a voice
const COUNTING = "1, 2, 3."; // said where there is no text yet: every language has it

/** A button that has a text spoken, and stops it when it is pressed again. */
export class Listening {
  #server;
  #button;
  #order;
  #tell;
  #player = new Audio();
  #abort = null;

  /** `order()` gives `{text, language, voice, speed, pitch}`; `tell(sentence)` shows a problem. */
  constructor(server, button, order, tell) {
    this.#server = server;
    this.#button = button;
    this.#order = order;
    this.#tell = tell;
    button.addEventListener("click", () => (this.#abort ? this.stop() : this.#listen()));
    this.#player.addEventListener("ended", () => this.stop());
  }

  stop() {
    this.#abort?.abort();
    this.#abort = null;
    this.#player.pause();
    if (this.#player.src) URL.revokeObjectURL(this.#player.src);
    this.#player.removeAttribute("src");
    say(this.#button, "listen_try");
    this.#button.setAttribute("aria-pressed", "false");
  }

  async #listen() {
    const { signal } = (this.#abort = new AbortController());
    this.#tell(null);
    say(this.#button, "listen_waiting");
    this.#button.setAttribute("aria-pressed", "true");
    const { text, ...rest } = this.#order();
    try {
      const order = { input: beginning(text.trim()) || COUNTING, ...rest };
      const sound = await this.#server.speech(order, signal);
      if (signal.aborted) return;
      this.#player.src = URL.createObjectURL(sound);
      say(this.#button, "listen_stop");
      await this.#player.play();
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      this.stop();
      this.#tell(error.sentence ? problemsOf(error)[0][1] : error.message);
    }
  }
}

/** The first sentences of a text, or its first words. */
function beginning(text) {
  if (text.length <= MAX_CHARACTERS) return text;
  const part = text.slice(0, MAX_CHARACTERS);
  const end = Math.max(part.lastIndexOf(". "), part.lastIndexOf("\n"), part.lastIndexOf("。"));
  return part.slice(0, end > MAX_CHARACTERS / 3 ? end + 1 : part.lastIndexOf(" ") + 1 || MAX_CHARACTERS);
}
