// What the server knows of a job before it is sent: how long it will take, or what is wrong with it.

import { duration, language, say, text } from "./language.js";
import { showProblem } from "./problems.js";

const $ = (id) => document.getElementById(id);
const PAUSE_MS = 600; // after the last change
const REFUSALS = [400, 404, 413, 415, 422]; // of what is sent; anything else is no judgement of it

/** Looks at the form after each change, and says what it finds. */
export class Checks {
  #server;
  #form;
  #timer = null;
  #abort = new AbortController();
  #last = null; // {signature, refusal}: a promise of what was found of the form as it then was

  constructor(server, form) {
    this.#server = server;
    this.#form = form;
  }

  /** Look again soon: something was changed. */
  soon() {
    if (this.#last?.signature === this.#signature()) return;
    this.forget();
    this.#timer = setTimeout(() => this.#begin(), PAUSE_MS);
  }

  /** Look again, though nothing was changed. */
  again() {
    this.forget();
    this.soon();
  }

  /** What was found no longer holds. */
  forget() {
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#last = null;
    say($("estimate"), null);
  }

  /** Whether the form may be sent as it is; if it may not, why is said, and the place is gone to. */
  async now() {
    this.#form.clearProblems();
    if (!this.#form.isComplete({ aloud: true })) return false;
    for (;;) {
      clearTimeout(this.#timer);
      if (this.#last?.signature !== this.#signature()) this.#begin();
      const found = this.#last;
      const refusal = await found.refusal;
      if (this.#last !== found) continue; // something was changed meanwhile
      if (!refusal) return true;
      if (refusal.isShown) this.#form.isComplete({ aloud: true });
      else this.#show(refusal, { focused: true });
      return false;
    }
  }

  #begin() {
    if (!this.#form.isComplete({ aloud: false })) return;
    const { signal } = (this.#abort = new AbortController());
    say($("estimate"), "checking");
    this.#last = { signature: this.#signature(), refusal: this.#ask(signal) };
  }

  // Settles with why the server would refuse the job, or with null.
  async #ask(signal) {
    let refusal = null;
    let told = null;
    try {
      const input = await this.#form.input().catch((error) => Promise.reject({ ...error, isShown: true }));
      told = await this.#server.estimate(input, signal);
    } catch (error) {
      if (error.isShown || REFUSALS.includes(error.status)) refusal = error;
    }
    if (signal.aborted) return refusal;
    say($("estimate"), null);
    this.#form.clearProblems();
    if (refusal && !refusal.isShown) this.#show(refusal, { focused: false });
    else if (told) this.#tell(told);
    return refusal;
  }

  #show(refusal, how) {
    showProblem($("form-problem"), this.#form.place(refusal, how));
  }

  #tell(told) {
    $("estimate").textContent = sentenceOf(told);
    $("estimate").hidden = !$("estimate").textContent;
  }

  #signature() {
    return `${language()} ${this.#form.signature}`;
  }
}

function sentenceOf({ talk_seconds: talk, work_seconds: work, waiting_seconds: wait, price, currency }) {
  if (talk === null) return "";
  const times = { talk: duration(talk), work: duration(work ?? 0), wait: duration(wait ?? 0) };
  const key = work === null ? "estimate_talk" : wait >= 1 ? "estimate_wait" : "estimate";
  if (price === null) return text(key, times);
  const money = new Intl.NumberFormat(language(), { style: "currency", currency, maximumFractionDigits: 4 });
  return `${text(key, times)} ${text("estimate_price", { price: money.format(price) })}`;
}
