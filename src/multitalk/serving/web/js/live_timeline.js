// When each frame of a live session is played: a buffer no longer than the network's jitter needs.

export const FRAME_SECONDS = 0.04;
const LEAST_BUFFER_SECONDS = 0.015; // from a frame's arrival to its sound
const MOST_BUFFER_SECONDS = 0.25;
const MARGIN_SECONDS = 0.01; // beyond the jitter that was measured
const TRANSITS = 75; // frames by which the jitter is measured
const KNOWN_AFTER = 25;
const LATE_SHARE = 0.05; // of the frames, which may come later than the buffer allows for
const TOLERANCE_SECONDS = 0.01;
const BEHIND_SECONDS = 0.25; // beyond the buffer, from which late sound is left out where it shall be
const FASTER = 1.01; // speech that plays too late is played so much faster: a sixth of a semitone higher
const PACED_SECONDS = 0.02; // between two frames that did not come from a pile

/** All times are seconds of the sound's clock. */
export class Timeline {
  #transits = []; // of the last frames: arrival minus the frame's own time
  #wasSpeaking = false;
  #isFree = true; // whether the next frame may be played at any time
  #isCatchingUp = false;
  #audibleUntil = -Infinity; // the end of the last frame that is heard

  constructor() {
    this.start = null; // when frame 0 would have been played
    this.buffer = LEAST_BUFFER_SECONDS;
  }

  /** The next frame does not follow the one before: frames were left out. */
  restart(now) {
    this.#isFree = true;
    this.#audibleUntil = now;
  }

  /**
   * When frame `number`, which arrives `now`, is played. Where nobody hears it, before and after speech and in silence,
   * time is skipped or stretched; elsewhere it runs a little faster at most. A frame that comes late shifts all. `skips`: frames that have piled up are
   * left out. Then `isCut` is true: what was to be played before must not be. `rate`: how fast the frame is played.
   */
  place(number, now, { isSpeaking, isQuiet, skips = false }) {
    const transit = now - number * FRAME_SECONDS;
    const isEdge = this.#isFree || isSpeaking !== this.#wasSpeaking; // the server may send these sooner than in 40 ms
    this.#wasSpeaking = isSpeaking;
    this.#isFree = false;
    const isCut = skips && this.#isFromPile(transit);
    if (isEdge || isCut) this.#transits = [];
    if (isCut) {
      this.#audibleUntil = now;
      this.buffer = LEAST_BUFFER_SECONDS; // a pile is no jitter
    }
    this.#transits.push(transit);
    if (this.#transits.length > TRANSITS) this.#transits.shift();
    const wanted = this.#wanted();
    const isFree = this.start === null || isEdge || isQuiet || isCut;
    if (this.start > wanted + TOLERANCE_SECONDS || (isFree && !(this.start >= wanted - TOLERANCE_SECONDS)))
      this.start = Math.max(wanted, this.#audibleUntil - number * FRAME_SECONDS);
    if (this.start < transit) // it comes late
      this.start = Math.max(wanted, transit + TOLERANCE_SECONDS);
    const time = this.start + number * FRAME_SECONDS;
    const rate = this.start > wanted + TOLERANCE_SECONDS ? FASTER : 1;
    this.start -= FRAME_SECONDS - FRAME_SECONDS / rate; // for the frames that follow
    if (!isQuiet) this.#audibleUntil = time + FRAME_SECONDS / rate;
    return { time, isCut, rate };
  }

  #isFromPile(transit) {
    const step = transit - (this.#transits.at(-1) ?? transit); // -40 ms in a pile, 0 where frames are paced
    if (this.#isCatchingUp) this.#isCatchingUp = step < PACED_SECONDS - FRAME_SECONDS;
    else this.#isCatchingUp = this.start !== null && this.start - transit > this.buffer + BEHIND_SECONDS;
    return this.#isCatchingUp;
  }

  #wanted() {
    const ordered = [...this.#transits].sort((a, b) => a - b);
    if (ordered.length >= KNOWN_AFTER) {
      const usual = ordered[Math.floor((1 - LATE_SHARE) * (ordered.length - 1))];
      const jitter = usual - ordered[0] + MARGIN_SECONDS;
      this.buffer = Math.min(MOST_BUFFER_SECONDS, Math.max(LEAST_BUFFER_SECONDS, jitter));
    }
    return ordered[0] + this.buffer;
  }
}
