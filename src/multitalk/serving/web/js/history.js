// Earlier talks, as the server has them: the first words, a small picture, how each stands.

import { duration, language, say, text } from "./language.js";

const $ = (id) => document.getElementById(id);
const PAGE = 12; // talks in one go
const ENDED = ["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"];

/** Tells `open` and `delete` (detail: a job's id) when a talk is chosen. */
export class History extends EventTarget {
  #server;
  #talks = [];
  #next = null;
  #current = null;
  #keptSeconds = null;

  constructor(server) {
    super();
    this.#server = server;
    $("history-more").addEventListener("click", () => this.#load(this.#next));
    document.addEventListener("language", () => this.#show());
  }

  /** For how long the server keeps a talk. */
  set keptSeconds(seconds) {
    this.#keptSeconds = seconds;
    this.#show();
  }

  /** Mark the talk on the stage. */
  set current(id) {
    this.#current = id;
    this.#show();
  }

  refresh() {
    return this.#load(null);
  }

  async #load(before) {
    const { requests, next } = await this.#server.talks(PAGE, before);
    this.#talks = before ? [...this.#talks, ...requests] : requests;
    this.#next = next;
    this.#show();
  }

  #show() {
    $("history-empty").hidden = this.#talks.length > 0;
    $("history-more").hidden = this.#next === null;
    if (this.#keptSeconds === null) say($("history-kept"), null);
    else say($("history-kept"), "history_kept", { time: duration(this.#keptSeconds) });
    const focused = document.activeElement?.dataset?.id;
    $("history").replaceChildren(...this.#talks.map((talk) => this.#item(talk)));
    if (focused) $("history").querySelector(`[data-id="${focused}"]`)?.focus();
  }

  #item({ id, status, createdAt, title, frameUrl }) {
    const item = $("talk-template").content.firstElementChild.cloneNode(true);
    const [open, remove] = item.querySelectorAll("button");
    const name = title || text("recording");
    open.dataset.id = id;
    open.setAttribute("aria-current", String(id === this.#current));
    open.addEventListener("click", () => this.#want("open", id));
    item.querySelector(".title").textContent = name;
    const when = new Intl.DateTimeFormat(language(), { timeStyle: "short", dateStyle: isToday(createdAt) ? undefined : "medium" });
    item.querySelector(".facts").textContent = `${when.format(createdAt)} · ${text(`talk_${status}`)}`;
    item.querySelector(".shot").dataset.status = status;
    remove.hidden = !ENDED.includes(status);
    remove.title = text("delete_talk");
    remove.setAttribute("aria-label", `${text("delete")}: ${name}`);
    remove.addEventListener("click", () => this.#want("delete", id));
    if (frameUrl) this.#picture(item.querySelector("img"), id, frameUrl);
    return item;
  }

  #picture(picture, id, address) {
    picture.addEventListener("error", () => (picture.hidden = true));
    picture.src = this.#server.videoAddress(id, address);
    picture.hidden = false;
  }

  #want(name, id) {
    this.dispatchEvent(new CustomEvent(name, { detail: id }));
  }
}

function isToday(time) {
  return new Date(time).toDateString() === new Date().toDateString();
}
