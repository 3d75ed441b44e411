// Earlier talks: those that the server still has, with what this browser remembers of them.

import { language, say, text } from "./language.js";

const $ = (id) => document.getElementById(id);
const PAGE = 12; // talks in one go
const REMEMBERED = "multitalk-talks";
const MAX_REMEMBERED = 60;

/** Tells `open` (detail: a job's id) when a talk is chosen. */
export class History extends EventTarget {
  #server;
  #talks = [];
  #next = null;
  #current = null;

  constructor(server) {
    super();
    this.#server = server;
    $("history-more").addEventListener("click", () => this.#load(this.#next));
    document.addEventListener("language", () => this.#show());
  }

  /** Remember what a talk is called and looks like, which the server does not keep. */
  remember(id, { title, thumbnail }) {
    const kept = Object.entries({ ...remembered(), [id]: { title, thumbnail } }).slice(-MAX_REMEMBERED);
    try {
      localStorage.setItem(REMEMBERED, JSON.stringify(Object.fromEntries(kept)));
    } catch {
      localStorage.removeItem(REMEMBERED); // it is full: names and pictures are a comfort only
    }
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
    const known = remembered();
    $("history-empty").hidden = this.#talks.length > 0;
    $("history-more").hidden = this.#next === null;
    const focused = document.activeElement?.dataset?.id;
    $("history").replaceChildren(...this.#talks.map((talk) => this.#item(talk, known[talk.id])));
    if (focused) $("history").querySelector(`[data-id="${focused}"]`)?.focus();
  }

  #item({ id, status, createdAt }, memory) {
    const item = $("talk-template").content.firstElementChild.cloneNode(true);
    const button = item.querySelector("button");
    button.dataset.id = id;
    button.setAttribute("aria-current", String(id === this.#current));
    button.addEventListener("click", () => this.dispatchEvent(new CustomEvent("open", { detail: id })));
    const title = item.querySelector(".title");
    if (memory?.title) title.textContent = memory.title;
    else say(title, "talk_untitled");
    const when = new Intl.DateTimeFormat(language(), { timeStyle: "short", dateStyle: isToday(createdAt) ? undefined : "medium" });
    item.querySelector(".facts").textContent = `${when.format(createdAt)} · ${text(`talk_${status}`)}`;
    if (memory?.thumbnail) {
      const picture = item.querySelector("img");
      picture.src = memory.thumbnail;
      picture.hidden = false;
    }
    return item;
  }
}

function isToday(time) {
  return new Date(time).toDateString() === new Date().toDateString();
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(REMEMBERED)) ?? {};
  } catch {
    return {};
  }
}
