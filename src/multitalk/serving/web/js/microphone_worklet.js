// In the audio thread: what the microphone records, at 16 kHz, in pieces of 20 ms.

const RATE = 16_000;
const PIECE = 320; // samples
// Of the low-pass filter: zero crossings on each side, and cutoff as a share of the lower rate's Nyquist frequency.
const ZERO_CROSSINGS = 12;
const CUTOFF = 0.92;

/** Sound of any rate as sound of 16 kHz, by a windowed sinc: the context has its device's rate, which Firefox demands. */
class Resampler {
  #rate;
  #cutoff;
  #half; // samples on each side of an instant
  #past; // samples that are needed again
  #first; // the number of the first of them
  #count = 0; // samples of the result
  #filters = new Map(); // by the instant's distance from a sample

  constructor(rate) {
    this.#rate = rate;
    this.#cutoff = CUTOFF * Math.min(1, RATE / rate);
    this.#half = Math.ceil(ZERO_CROSSINGS / this.#cutoff);
    this.#past = new Float32Array(this.#half - 1);
    this.#first = 1 - this.#half;
  }

  /** Take samples; calls `use` with each sample of the result. */
  take(samples, use) {
    const all = new Float32Array(this.#past.length + samples.length);
    all.set(this.#past);
    all.set(samples, this.#past.length);
    let start = this.#start();
    for (; start + 2 * this.#half <= all.length; start = this.#start()) {
      const filter = this.#filter((this.#count * this.#rate) % RATE);
      let sum = 0;
      for (let i = 0; i < filter.length; i++) sum += filter[i] * all[start + i];
      use(sum);
      this.#count += 1;
    }
    const unneeded = Math.min(start, all.length);
    this.#past = all.slice(unneeded);
    this.#first += unneeded;
  }

  /** Where the filter of the next sample begins in what is kept. */
  #start() {
    return Math.floor((this.#count * this.#rate) / RATE) + 1 - this.#half - this.#first;
  }

  #filter(phase) {
    let filter = this.#filters.get(phase);
    if (!filter) {
      filter = Float32Array.from({ length: 2 * this.#half }, (_, i) => {
        const distance = i + 1 - this.#half - phase / RATE;
        const angle = Math.PI * this.#cutoff * distance;
        const window = Math.cos((Math.PI / 2) * Math.max(-1, Math.min(1, distance / this.#half))) ** 2;
        return window * (angle ? Math.sin(angle) / angle : 1);
      });
      const sum = filter.reduce((a, b) => a + b);
      filter = filter.map((weight) => weight / sum);
      this.#filters.set(phase, filter);
    }
    return filter;
  }
}

class Pieces extends AudioWorkletProcessor {
  #resampler = sampleRate === RATE ? null : new Resampler(sampleRate);
  #piece = new Int16Array(PIECE);
  #filled = 0;

  process([[samples]]) {
    if (!samples) return true;
    if (this.#resampler) this.#resampler.take(samples, (sample) => this.#add(sample));
    else for (const sample of samples) this.#add(sample);
    return true;
  }

  #add(sample) {
    this.#piece[this.#filled++] = Math.round(32767 * Math.max(-1, Math.min(1, sample)));
    if (this.#filled < PIECE) return;
    this.port.postMessage(this.#piece.buffer, [this.#piece.buffer]);
    this.#piece = new Int16Array(PIECE);
    this.#filled = 0;
  }
}

registerProcessor("pieces", Pieces);
