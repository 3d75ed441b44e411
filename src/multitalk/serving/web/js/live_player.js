// Plays the frames of a live session: H.264 by WebCodecs, sound by Web Audio, in step.

const FRAME_SECONDS = 0.04;
const BUFFER_SECONDS = 0.06; // from a frame's arrival to its sound
const MOST_BEHIND_SECONDS = 0.25; // of silence, what has piled up beyond this is skipped
const QUIET = 300; // of 32768
const HEAD_BYTES = 16;
const KEY = 1;
const SPEAKING = 2;
const END_OF_SPEECH = 4;

export class LivePlayer {
  /** `onSpeech` and `onEnd` are called when speech begins and ends to be played. */
  constructor(canvas, { onSpeech = () => {}, onEnd = () => {} } = {}) {
    this.canvas = canvas;
    this.painter = canvas.getContext("2d");
    this.onSpeech = onSpeech;
    this.onEnd = onEnd;
    this.onKeyFrameNeeded = () => {};
    this.behind = 0; // milliseconds from arrival to sound
    this.start = null; // time of frame 0 in the sound's clock
    this.pictures = []; // decoded, with the time at which they are shown
    this.times = new Map(); // of frames that are being decoded, by their number
    this.sources = new Set();
    this.timers = new Set();
    this.isSpeaking = false;
    this.isClosed = false;
    this.needsKeyFrame = true;
  }

  async open() {
    this.audio = new AudioContext({ latencyHint: "interactive" });
    await this.audio.resume();
    if (this.isClosed) return;
    this.decoder = new VideoDecoder({ output: (picture) => this.#decoded(picture), error: () => this.#restart() });
    this.#configure();
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
    const isQuiet = !(flags & SPEAKING) || pcm.every((value) => Math.abs(value) < QUIET);
    const time = this.#timeOf(number, isQuiet);
    this.#play(pcm, rate, time, flags);
    if (!length || (this.needsKeyFrame && !(flags & KEY))) return;
    this.needsKeyFrame = false;
    this.times.set(number, time);
    this.decoder.decode(
      new EncodedVideoChunk({
        type: flags & KEY ? "key" : "delta",
        timestamp: Math.round(number * FRAME_SECONDS * 1e6),
        data: new Uint8Array(data, HEAD_BYTES, length),
      }),
    );
  }

  /** Stop the sound that is still to be played, at once. Its `onSpeech` and `onEnd` are not called any more. */
  silence() {
    for (const source of this.sources) source.stop();
    this.sources.clear();
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.isSpeaking = false;
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

  /** When a frame is played. A frame that comes late shifts all; silence with too much in store is left out. */
  #timeOf(number, isQuiet) {
    const now = this.audio.currentTime;
    const due = this.start === null ? null : this.start + number * FRAME_SECONDS;
    if (due === null || due < now) this.start = now + BUFFER_SECONDS - number * FRAME_SECONDS;
    else if (isQuiet && due > now + MOST_BEHIND_SECONDS) this.start -= FRAME_SECONDS;
    const time = this.start + number * FRAME_SECONDS;
    this.behind = Math.round(1000 * (time - now));
    return time;
  }

  #play(pcm, rate, time, flags) {
    const speaks = Boolean(flags & SPEAKING);
    if (speaks && !this.isSpeaking) this.#callAt(time, this.onSpeech);
    const ends = Boolean(flags & END_OF_SPEECH) || (this.isSpeaking && !speaks);
    if (ends) this.#callAt(time, this.onEnd);
    this.isSpeaking = speaks && !(flags & END_OF_SPEECH);
    if (!speaks || !pcm.length) return;
    const buffer = this.audio.createBuffer(1, pcm.length, rate);
    buffer.copyToChannel(Float32Array.from(pcm, (value) => value / 32768), 0);
    const source = this.audio.createBufferSource();
    source.buffer = buffer;
    source.connect(this.audio.destination);
    source.onended = () => this.sources.delete(source);
    this.sources.add(source);
    source.start(time);
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

  #configure() {
    this.decoder.configure({ codec: "avc1.640028", optimizeForLatency: true });
    this.needsKeyFrame = true;
  }

  #restart() {
    if (this.isClosed) return;
    this.decoder = new VideoDecoder({ output: (picture) => this.#decoded(picture), error: () => this.#restart() });
    this.#configure();
    this.onKeyFrameNeeded();
  }

  #decoded(picture) {
    if (this.isClosed) return picture.close();
    const number = Math.round(picture.timestamp / FRAME_SECONDS / 1e6);
    this.pictures.push({ picture, time: this.times.get(number) ?? 0 });
    this.times.delete(number);
  }

  #paint() {
    this.painting = requestAnimationFrame(() => this.#paint());
    const heard = this.audio.currentTime - (this.audio.outputLatency || 0);
    let latest = null;
    while (this.pictures.length && this.pictures[0].time <= heard) {
      latest?.close();
      latest = this.pictures.shift().picture;
    }
    if (!latest) return;
    this.painter.drawImage(latest, 0, 0, this.canvas.width, this.canvas.height);
    latest.close();
  }
}
