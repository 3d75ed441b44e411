// What the page asks of the server, and how it proves who it is.

import { language, text } from "./language.js";

const ENDPOINT = "v2/multitalk"; // the server answers to any name
const REMEMBERED = "multitalk-key";

/** What the server refused: its sentence, and the field and the kind of it where it says so. */
export class ServerError extends Error {
  constructor(status, body) {
    super(body?.error?.message ?? body?.error ?? text("offline")); // below v1 it is an object
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

  /** The key for a WebSocket, which takes it as a subprotocol; null where there is none. */
  keyForSocket() {
    return this.#key;
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

  /** Where a video comes from: what its watermark, its manifest and its label say. */
  inspect(file, signal) {
    return this.#json("v1/inspect", { body: file, signal });
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

  /** What a talk was made from: `{input, files}`; a file of it is an address for `file`. */
  input(id) {
    return this.#json(`${ENDPOINT}/input/${id}`);
  }

  /** A file that a talk was made from, as a file of this browser's. */
  async file(address, name) {
    const content = await (await this.#answer(address.replace(/^\//, ""))).blob();
    return new File([content], name, { type: content.type });
  }

  delete(id) {
    return this.#json(`${ENDPOINT}/delete/${id}`, { method: "POST" });
  }

  /** A text as sound: `{input, voice, language, speed, pitch}`; settles with a blob. */
  async speech(order, signal) {
    return (await this.#answer("v1/audio/speech", { body: order, signal })).blob();
  }

  talks(limit, before) {
    const page = before ? `&before=${before}` : "";
    return this.#json(`${ENDPOINT}/requests?limit=${limit}${page}`);
  }

  /** A video while it is made: a response whose body grows, or throws where there is none. */
  live(id, signal) {
    return this.#answer(`videos/${id}/live.mp4`, { signal });
  }

  /** The address of a finished video, or of what goes with it, for this page, whichever name the server has for itself. */
  videoAddress(id, address) {
    const told = new URL(address, document.baseURI);
    const file = told.pathname.split("/").at(-1);
    if (!told.pathname.endsWith(`/videos/${file}`) || !file.startsWith(id)) return told.href; // in a bucket
    return new URL(`videos/${file}${told.search}`, document.baseURI).href;
  }

  /**
   * Send a file ahead of its job; settles with what a job names it by. `medium` is what it must be
   * (a pattern), and `otherwise` the sentence for another kind of file.
   */
  async upload(file, { signal, medium, otherwise, onProgress = () => {} }) {
    for (let wasAsked = false; ; wasAsked = true) {
      const { status, body } = await this.#send(file, signal, onProgress);
      const isOther = status === 201 ? !body.medium.match(medium) : body?.code === "invalid_request" && file.size;
      if (isOther) throw new ServerError(status, { ...body, error: text(otherwise) });
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
      const isFile = body instanceof Blob;
      if (body) headers["Content-Type"] = isFile ? "application/octet-stream" : "application/json";
      let response;
      try {
        response = await fetch(new URL(path, document.baseURI), {
          method: method ?? (body ? "POST" : "GET"),
          headers,
          body: body && !isFile ? JSON.stringify(body) : body,
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
