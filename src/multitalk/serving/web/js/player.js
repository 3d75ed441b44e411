// A video that plays while it is made: pieces of a fragmented MP4 into a media source.

import { language, text } from "./language.js";

const Source = window.ManagedMediaSource ?? window.MediaSource;
const USED_UP = 0.3; // seconds left to play when a video waits for its pieces, not for its decoder
const LOOK_AGAIN = 200; // milliseconds, while a video waits for its pieces and is not paused
const LATE = 0.1; // seconds: a video begins here at the latest, or where its first frame is

export class Player {
  #video;
  #address = null;
  #pace = { began: 0, seconds: 0 };

  /** Seconds of the whole talk, once they are known. */
  total = null;
  /** Called when the first frame is on the screen. */
  onFirstFrame = () => {};

  constructor(video) {
    this.#video = video;
    video.addEventListener("waiting", () => this.#rest());
    video.addEventListener("loadeddata", () => {
      if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(() => this.onFirstFrame());
      else this.onFirstFrame();
    });
  }

  /** Whether the whole video is in memory, so that no file is needed. */
  isWhole = false;

  /** Where the subtitles of the video are; they can be switched on in the player. */
  set subtitles(address) {
    const track = document.createElement("track");
    Object.assign(track, { kind: "subtitles", src: address, label: text("subtitles"), srclang: language() });
    this.#video.replaceChildren(track);
  }

  /** Nothing to see any more. */
  clear() {
    this.total = null;
    this.#empty();
  }

  #empty() {
    this.isWhole = this.#isResting = false;
    this.#video.pause();
    this.#video.replaceChildren();
    this.#video.removeAttribute("src");
    this.#video.load();
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = null;
  }

  /** Play a finished file, from where a live one had come to. */
  async show(address, { andPlay }) {
    const { currentTime } = this.#video;
    this.#empty();
    this.#video.src = address;
    this.#video.currentTime = currentTime;
    if (andPlay) await this.#play();
  }

  /**
   * Play a response's body as it comes. Throws where this browser cannot, or the body breaks off:
   * what has come so far can be seen, and `show` brings the whole.
   */
  async follow(response, signal) {
    const type = response.headers.get("Content-Type");
    if (!Source?.isTypeSupported(type)) throw new Error(`${type} cannot be played as it comes`);
    this.#empty();
    const source = new Source();
    this.#video.disableRemotePlayback = true; // a managed source asks for it
    this.#video.src = this.#address = URL.createObjectURL(source);
    await once(source, "sourceopen", signal);
    const buffer = source.addSourceBuffer(type);
    this.#pace = { began: performance.now(), seconds: 0 };
    const reader = response.body.getReader();
    for (let isFirst = true; ; isFirst = false) {
      const { done, value } = await reader.read();
      if (done) break;
      buffer.appendBuffer(value);
      await once(buffer, "updateend", signal);
      if (source.readyState !== "open") throw new Error("the browser cannot decode the video");
      if (this.total > this.#end()) source.duration = this.total; // or the time bar would grow
      this.#pace.seconds = this.#end();
      this.#begin(buffer);
      if (isFirst) this.#play();
      else this.#goOn();
    }
    source.endOfStream();
    this.isWhole = true;
    this.#goOn();
  }

  // The first frame may come a few milliseconds after 0, where a browser would wait for ever.
  #begin({ buffered }) {
    if (!buffered.length || this.#video.currentTime >= buffered.start(0)) return;
    if (buffered.start(0) < LATE) this.#video.currentTime = buffered.start(0);
  }

  #end() {
    const { buffered } = this.#video;
    return buffered.length ? buffered.end(buffered.length - 1) : 0;
  }

  // The pictures are used up before the next are made: rather one longer pause than many. A browser
  // says once that it waits, and the pace falls while it does.
  #rest() {
    clearTimeout(this.#watch);
    const isWaiting = !this.#video.paused && this.#video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
    if (!this.#address || this.isWhole || !isWaiting) return;
    const isUsedUp = this.#end() - this.#video.currentTime < USED_UP;
    if (isUsedUp && !this.#isEnough()) {
      this.#video.pause();
      this.#isResting = true;
    } else {
      this.#watch = setTimeout(() => this.#rest(), LOOK_AGAIN);
    }
  }

  #watch = 0;

  #isResting = false;

  #goOn() {
    if (!this.#isResting || !(this.isWhole || this.#isEnough())) return;
    this.#isResting = false;
    this.#play();
  }

  // Whether the rest will be made, at the pace so far, before it is needed.
  #isEnough() {
    const { began, seconds } = this.#pace;
    if (this.total === null || !seconds) return false;
    const pace = (performance.now() - began) / 1000 / seconds;
    return (this.total - seconds) * pace <= this.total - this.#video.currentTime;
  }

  async #play() {
    try {
      await this.#video.play();
    } catch {
      // the browser wants a person to press the button
    }
  }
}

function once(target, name, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new DOMException("", "AbortError"));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    target.addEventListener(name, resolve, { once: true });
  });
}
