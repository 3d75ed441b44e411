// Plays a live session as a fragmented MP4 in a <video>, where the browser cannot decode single frames: later, but in
// step. It has the methods of LivePlayer.

import { runningAudio } from "./running_audio.js";

const Source = window.ManagedMediaSource ?? window.MediaSource;
const TYPE = 'video/mp4; codecs="avc1.640028, mp4a.40.2"';
const FRAME_SECONDS = 0.04;
const HEAD_BYTES = 16;
const SPEAKING = 2;
const END_OF_SPEECH = 4;
const STORE_SECONDS = 0.25; // that should be there to be played
const FAST_SECONDS = 0.45; // from here on it plays faster
const JUMP_SECONDS = 1.5; // and from here on it jumps to what came last
const FASTER = 1.05;
const KEPT_SECONDS = 10; // that were played
const FADE_SECONDS = 0.008; // in which sound ends before a jump, and begins after it: cut off, it would click
const LONGEST_FADE_SECONDS = 0.1; // where the sound does not go on

export class LiveMsePlayer {
  static get isPossible() {
    return Boolean(Source?.isTypeSupported(TYPE));
  }

  constructor(canvas, { onSpeech = () => {}, onEnd = () => {} } = {}) {
    this.canvas = canvas;
    this.onSpeech = onSpeech;
    this.onEnd = onEnd;
    this.onKeyFrameNeeded = () => {};
    this.skips = false;
    this.behind = 0;
    this.timers = new Set();
    this.isJumping = false;
    this.isMuted = false; // after an interruption, until the server's speech ends
  }

  async open() {
    this.video = document.createElement("video");
    Object.assign(this.video, { playsInline: true, disableRemotePlayback: true, className: "live-video" });
    this.video.setAttribute("aria-label", this.canvas.getAttribute("aria-label") ?? "");
    this.canvas.hidden = true;
    this.canvas.after(this.video);
    this.video.onseeked = () => this.#jumped();
    this.audio = runningAudio();
    this.volume = this.audio.createGain();
    this.audio.createMediaElementSource(this.video).connect(this.volume).connect(this.audio.destination);
    this.#openSource();
    await this.audio.resume();
    if (this.isClosed) return;
    this.video.play().catch(() => {}); // it begins with the first piece
  }

  resize() {}

  /** Take a frame: see docs/live.md for its bytes. */
  add(data) {
    const head = new DataView(data);
    const flags = head.getUint8(1);
    const length = head.getUint32(12, true);
    if (length) this.waiting.push(new Uint8Array(data, HEAD_BYTES, length));
    this.#append();
    this.#follow();
    this.#note(flags);
  }

  /** Drop what is in store: what comes next is shown at once, and heard once the speech has ended. */
  silence() {
    this.isMuted = this.isSpeaking;
    this.#cancelCalls();
    this.#jump();
  }

  /** Another session's frames follow. */
  reset() {
    if (!this.video) return; // before it was open
    this.#cancelCalls();
    this.isMuted = false;
    this.#openSource();
    this.video.play().catch(() => {});
    this.#jumped();
  }

  close() {
    this.isClosed = true;
    this.#cancelCalls();
    if (!this.video) return;
    URL.revokeObjectURL(this.video.src);
    this.video.remove();
    this.canvas.hidden = false;
    this.audio.close();
  }

  #openSource() {
    if (this.video.src) URL.revokeObjectURL(this.video.src);
    const source = (this.source = new Source());
    this.waiting = [];
    this.buffer = null;
    this.isSpeaking = false;
    source.onsourceopen = () => {
      if (source !== this.source) return; // another one was opened meanwhile
      this.buffer = source.addSourceBuffer(TYPE);
      this.buffer.onupdateend = () => this.#append();
      this.#append();
    };
    this.video.src = URL.createObjectURL(source);
  }

  #append() {
    if (!this.buffer || this.buffer.updating || !this.waiting.length) return;
    const old = this.video.currentTime - KEPT_SECONDS;
    if (this.buffer.buffered.length && this.buffer.buffered.start(0) < old - KEPT_SECONDS) return this.buffer.remove(0, old);
    this.buffer.appendBuffer(joined(this.waiting.splice(0)));
  }

  get #store() {
    const { buffered, currentTime } = this.video;
    return buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
  }

  /** Keep close to what came last. */
  #follow() {
    const store = this.#store;
    this.behind = Math.round(1000 * store);
    if (store > JUMP_SECONDS) this.#jump();
    this.video.playbackRate = store > FAST_SECONDS || (this.video.playbackRate > 1 && store > STORE_SECONDS) ? FASTER : 1;
    const start = this.video.buffered.length ? this.video.buffered.start(this.video.buffered.length - 1) : 0;
    if (this.video.currentTime < start) this.video.currentTime = start; // frames were left out
    if (this.video.paused && store > STORE_SECONDS) this.video.play().catch(() => {});
  }

  /** Go on with what came last, once the sound has faded. */
  #jump() {
    if (this.isJumping) return;
    this.isJumping = true;
    this.#fade(0);
    const faded = this.audio.currentTime + FADE_SECONDS;
    const givenUp = performance.now() + 1000 * LONGEST_FADE_SECONDS;
    const wait = setInterval(() => {
      const { buffered } = this.video;
      if (this.audio.currentTime <= faded && performance.now() < givenUp) return;
      clearInterval(wait);
      if (this.isClosed || !buffered.length) return this.#jumped();
      this.video.currentTime = Math.max(buffered.end(buffered.length - 1) - FRAME_SECONDS, 0);
    }, 4);
  }

  #jumped() {
    this.isJumping = false;
    this.#raise();
  }

  #raise() {
    if (!this.isMuted && !this.isJumping && !this.isClosed) this.#fade(1);
  }

  #fade(level) {
    const { gain } = this.volume;
    const now = this.audio.currentTime;
    gain.cancelScheduledValues(now);
    gain.setValueAtTime(gain.value, now);
    gain.linearRampToValueAtTime(level, now + FADE_SECONDS);
  }

  #note(flags) {
    const speaks = Boolean(flags & SPEAKING);
    const ends = Boolean(flags & END_OF_SPEECH);
    if (this.isMuted) {
      if (speaks && !ends) return;
      this.isMuted = false;
      this.#callLater(() => this.#raise());
      return;
    }
    if (speaks && !this.isSpeaking) this.#callLater(this.onSpeech);
    if (ends || (this.isSpeaking && !speaks)) this.#callLater(this.onEnd);
    this.isSpeaking = speaks && !ends;
  }

  #callLater(call) {
    const timer = setTimeout(
      () => {
        this.timers.delete(timer);
        call();
      },
      this.isJumping ? 0 : 1000 * Math.max(0, this.#store), // after a jump it is played at once
    );
    this.timers.add(timer);
  }

  #cancelCalls() {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.isSpeaking = false;
  }
}

function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let end = 0;
  for (const piece of pieces) {
    whole.set(piece, end);
    end += piece.length;
  }
  return whole;
}
