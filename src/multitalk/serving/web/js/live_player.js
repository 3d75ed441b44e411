// Plays the frames of a live session: H.264 by WebCodecs, sound by Web Audio, in step.

import { FRAME_SECONDS, Timeline } from "./live_timeline.js";
import { runningAudio } from "./running_audio.js";

// By which a picture is shown before its sound is heard. Viewers notice neither this nor its absence (EBU R 37: up to
// 60 ms), and the picture does not wait for the sound card.
const LEAD_SECONDS = 0.03;
const FADE_SECONDS = 0.008; // in which sound that is interrupted ends: cut off, it would click
const REFRESH_SECONDS = 1 / 60; // of a screen
const MOST_PICTURES = 25; // that wait for their time; older ones are left out, as in a tab that is hidden
const MOST_DECODING = 500; // milliseconds: a decoder that takes longer falls behind, and goes on at a key frame
const QUIET = 300; // of 32768
const HEAD_BYTES = 16;
const KEY = 1;
const SPEAKING = 2;
const END_OF_SPEECH = 4;
const CATCHING_UP = 8;

export class LivePlayer {
  /** `onSpeech` and `onEnd` are called when speech begins and ends to be played. */
  constructor(canvas, { onSpeech = () => {}, onEnd = () => {} } = {}) {
    this.canvas = canvas;
    this.painter = canvas.getContext("2d", { alpha: false });
    this.onSpeech = onSpeech;
    this.onEnd = onEnd;
    this.onKeyFrameNeeded = () => {};
    this.skips = false; // whether late sound is left out, as a microphone's
    this.behind = 0; // milliseconds from arrival to sound
    this.timeline = new Timeline();
    this.pictures = []; // decoded, with the time at which they are shown
    this.decoding = new Map(); // by their number: when frames were given to the decoder, when they are shown
    this.sources = new Set();
    this.timers = new Set();
    this.isSpeaking = false;
    this.isMuted = false; // after an interruption, until the server's speech ends
    this.isClosed = false;
    this.needsKeyFrame = true;
  }

  async open() {
    this.audio = runningAudio();
    await this.audio.resume();
    if (this.isClosed) return;
    this.#openOutput();
    this.#openDecoder();
    this.painting = requestAnimationFrame(() => this.#paint());
  }

  resize(width, height) {
    this.canvas.width = width;
    this.canvas.height = height;
  }

  /** Take a frame: see docs/live.md for its bytes. */
  add(data) {
    const head = new DataView(data);
    const flags = head.getUint8(1);
    const number = head.getUint32(4, true);
    const rate = head.getUint32(8, true);
    const length = head.getUint32(12, true);
    const pcm = new Int16Array(data.slice(HEAD_BYTES + length));
    const isSpeaking = Boolean(flags & SPEAKING);
    const isQuiet = !isSpeaking || pcm.every((value) => Math.abs(value) < QUIET);
    if (!isSpeaking) this.isMuted = false;
    const now = this.audio.currentTime;
    let shownAt = 0; // as soon as it is decoded
    if (flags & CATCHING_UP) {
      this.timeline.restart(now);
      this.#note(now, flags); // speech may begin or end with it
    } else {
      const { time, isCut, rate: speed } = this.timeline.place(number, now, { isSpeaking, isQuiet, skips: this.skips });
      if (isCut) this.#drop();
      this.behind = Math.round(1000 * (time - now));
      if (this.#note(time, flags) && pcm.length) this.#play(pcm, rate, { time, speed });
      if (isSpeaking && !this.isMuted) shownAt = time + this.#soundLatency() - LEAD_SECONDS;
    }
    if (length && this.#isDecoderBehind()) this.#restart();
    if (!length || (this.needsKeyFrame && !(flags & KEY))) return;
    this.needsKeyFrame = false;
    this.decoding.set(number, { since: performance.now(), shownAt });
    this.decoder.decode(
      new EncodedVideoChunk({
        type: flags & KEY ? "key" : "delta",
        timestamp: Math.round(number * FRAME_SECONDS * 1e6),
        data: new Uint8Array(data, HEAD_BYTES, length),
      }),
    );
  }

  /** Stop the sound at once, also that which is still under way. `onSpeech` and `onEnd` are not called for it. */
  silence() {
    this.#drop();
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.isMuted = this.isSpeaking;
    this.isSpeaking = false;
  }

  /** Another session's frames follow, from number 0. */
  reset() {
    this.silence();
    this.isMuted = false;
    this.timeline = new Timeline();
    if (!this.decoder) return; // before it was open
    if (this.decoder.state !== "closed") this.decoder.close();
    this.#openDecoder();
  }

  close() {
    this.isClosed = true;
    cancelAnimationFrame(this.painting);
    this.silence();
    if (this.decoder?.state !== "closed") this.decoder?.close();
    for (const { picture } of this.pictures) picture.close();
    this.pictures = [];
    this.audio?.close();
  }

  /** Leave out the sound that waits, fade the one that plays, and show the last of the pictures that wait. */
  #drop() {
    if (this.sources.size) {
      const now = this.audio.currentTime;
      this.output.gain.setValueAtTime(1, now);
      this.output.gain.linearRampToValueAtTime(0, now + FADE_SECONDS);
      for (const source of this.sources) source.stop(now + FADE_SECONDS);
      this.sources.clear();
      this.#openOutput();
    }
    for (const picture of this.pictures) picture.time = 0;
    for (const frame of this.decoding.values()) frame.shownAt = 0;
  }

  #soundLatency() {
    return this.audio.outputLatency || this.audio.baseLatency || 0;
  }

  /** Note whether speech begins or ends with a frame; whether its sound is to be played. */
  #note(time, flags) {
    const speaks = Boolean(flags & SPEAKING) && !this.isMuted;
    if (speaks && !this.isSpeaking) this.#callAt(time, this.onSpeech);
    const ends = Boolean(flags & END_OF_SPEECH) || (this.isSpeaking && !speaks);
    if (ends && !this.isMuted) this.#callAt(time, this.onEnd);
    if (flags & END_OF_SPEECH) this.isMuted = false;
    this.isSpeaking = speaks && !(flags & END_OF_SPEECH);
    return speaks;
  }

  #play(pcm, rate, { time, speed }) {
    const buffer = this.audio.createBuffer(1, pcm.length, rate);
    buffer.copyToChannel(Float32Array.from(pcm, (value) => value / 32768), 0);
    const source = this.audio.createBufferSource();
    source.buffer = buffer;
    source.playbackRate.value = speed;
    source.connect(this.output);
    source.onended = () => this.sources.delete(source);
    this.sources.add(source);
    source.start(time);
  }

  /** What is played from now on goes here, and can be faded together. */
  #openOutput() {
    this.output = this.audio.createGain();
    this.output.connect(this.audio.destination);
  }

  #callAt(time, call) {
    const timer = setTimeout(
      () => {
        this.timers.delete(timer);
        call();
      },
      1000 * Math.max(0, time - this.audio.currentTime),
    );
    this.timers.add(timer);
  }

  #openDecoder() {
    this.decoder = new VideoDecoder({ output: (picture) => this.#decoded(picture), error: () => this.#restart() });
    this.decoder.configure({ codec: "avc1.640028", optimizeForLatency: true });
    this.needsKeyFrame = true;
    this.decoding.clear();
  }

  /** Whether this device decodes more slowly than frames come: pictures would be ever later than their sound. */
  #isDecoderBehind() {
    const [oldest] = this.decoding.values();
    return oldest !== undefined && performance.now() - oldest.since > MOST_DECODING;
  }

  /** Leave out what is being decoded, and go on at a key frame. */
  #restart() {
    if (this.isClosed) return;
    if (this.decoder.state !== "closed") this.decoder.close();
    this.#openDecoder();
    this.onKeyFrameNeeded();
  }

  #decoded(picture) {
    if (this.isClosed) return picture.close();
    const number = Math.round(picture.timestamp / FRAME_SECONDS / 1e6);
    this.pictures.push({ picture, time: this.decoding.get(number)?.shownAt ?? 0 });
    this.decoding.delete(number);
    if (this.pictures.length > MOST_PICTURES) this.pictures.shift().picture.close();
  }

  #paint() {
    this.painting = requestAnimationFrame(() => this.#paint());
    const shown = this.audio.currentTime + REFRESH_SECONDS / 2;
    let latest = null;
    while (this.pictures.length && this.pictures[0].time <= shown) {
      latest?.close();
      latest = this.pictures.shift().picture;
    }
    if (!latest) return;
    this.painter.drawImage(latest, 0, 0, this.canvas.width, this.canvas.height);
    latest.close();
  }
}
