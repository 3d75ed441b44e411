// What the page asks of the server, and how it proves who it is.

import { language, text } from "./language.js";

const ENDPOINT = "v2/multitalk"; // the server answers to any name
const REMEMBERED = "multitalk-key";

/** What the server refused: its sentence, and the field and the kind of it where it says so. */
export class ServerError extends Error {
  constructor(status, body) {
    super(body?.error ?? text("offline"));
    this.status = status;
    this.sentence = this.message;
    this.code = body?.code ?? null;
    this.field = body?.field ?? null;
  }
}

export class Server {
  #key = sessionStorage.getItem(REMEMBERED) ?? localStorage.getItem(REMEMBERED);
  #asking = null;

  /** `askForKey(wasWrong)` lets a person give a key; it settles with `{key, keep}` or null. */
  constructor(askForKey) {
    this.askForKey = askForKey;
  }

  /** Engine, workers, and whether a key is needed; nobody needs a key for this. */
  health() {
    return this.#json("healthz", { open: true });
  }

  async changeKey() {
    await this.#newKey(false);
  }

  async hasKey() {
    return this.#key !== null || (await this.#newKey(false));
  }

  voices() {
    return this.#json("voices");
  }

  faces(source) {
    return this.#json("faces", { body: { image_path: source } });
  }

  estimate(input, signal) {
    return this.#json(`${ENDPOINT}/estimate`, { body: { input }, signal });
  }

  run(input) {
    return this.#json(`${ENDPOINT}/run`, { body: { input } });
  }

  status(id, signal) {
    return this.#json(`${ENDPOINT}/status/${id}?video=url`, { signal });
  }

  cancel(id) {
    return this.#json(`${ENDPOINT}/cancel/${id}`, { method: "POST" });
  }

  retry(id) {
    return this.#json(`${ENDPOINT}/retry/${id}`, { method: "POST" });
  }

  talks(limit, before) {
    const page = before ? `&before=${before}` : "";
    return this.#json(`${ENDPOINT}/requests?limit=${limit}${page}`);
  }

  /** A video while it is made: a response whose body grows, or throws where there is none. */
  live(id, signal) {
    return this.#answer(`videos/${id}/live.mp4`, { signal });
  }

  /** The address of a finished video for this page, whichever name the server has for itself. */
  videoAddress(id, address) {
    const told = new URL(address, document.baseURI);
    if (!told.pathname.endsWith(`/videos/${id}.mp4`)) return told.href; // in a bucket
    return new URL(`videos/${id}.mp4${told.search}`, document.baseURI).href;
  }

  /** Send a file ahead of its job; settles with what a job names it by. */
  async upload(file, { signal, onProgress = () => {} } = {}) {
    for (let wasAsked = false; ; wasAsked = true) {
      const { status, body } = await this.#send(file, signal, onProgress);
      if (status === 201) return body.source;
      const refused = new ServerError(status, body);
      if (status !== 401 || !(await this.#newKey(wasAsked || this.#key !== null))) throw refused;
    }
  }

  // fetch() does not say how much of a body is sent; the older way does.
  #send(file, signal, onProgress) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", new URL("uploads", document.baseURI));
      for (const [name, value] of Object.entries(this.#headers())) request.setRequestHeader(name, value);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.responseType = "json";
      request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
      request.onload = () => resolve({ status: request.status, body: request.response });
      request.onerror = () => reject(new ServerError(0, null));
      request.onabort = () => reject(new DOMException("", "AbortError"));
      signal?.addEventListener("abort", () => request.abort());
      request.send(file);
    });
  }

  #headers() {
    const headers = { "Accept-Language": language() };
    if (this.#key) headers.Authorization = `Bearer ${this.#key}`;
    return headers;
  }

  async #json(path, options) {
    return (await this.#answer(path, options)).json();
  }

  async #answer(path, { method, body, signal, open = false } = {}) {
    for (let wasAsked = false; ; wasAsked = true) {
      const headers = this.#headers();
      if (body) headers["Content-Type"] = "application/json";
      let response;
      try {
        response = await fetch(new URL(path, document.baseURI), {
          method: method ?? (body ? "POST" : "GET"),
          headers,
          body: body && JSON.stringify(body),
          signal,
        });
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new ServerError(0, null);
      }
      if (response.ok) return response;
      const refused = new ServerError(response.status, await response.json().catch(() => null));
      const isKey = response.status === 401 && !open;
      if (!isKey || !(await this.#newKey(wasAsked || this.#key !== null))) throw refused;
    }
  }

  // However many requests were refused at once, a person is asked once.
  #newKey(wasWrong) {
    this.#asking ??= this.askForKey(wasWrong)
      .then((given) => {
        if (!given) return false;
        this.#key = given.key;
        (given.keep ? localStorage : sessionStorage).setItem(REMEMBERED, given.key);
        if (!given.keep) localStorage.removeItem(REMEMBERED);
        return true;
      })
      .finally(() => (this.#asking = null));
    return this.#asking;
  }
}
