// A voice from the microphone.

const LOUDEST = 0.35; // root mean square at which the level is full

/** Records until `stop`; `onLevel` is told 0 to 1, and the seconds, for each picture drawn. */
export class Recorder {
  #stream;
  #recorder;
  #context;
  #parts = [];
  #drawing;

  static isPossible() {
    return Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);
  }

  async start(onLevel) {
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    this.#recorder = new MediaRecorder(this.#stream);
    this.#recorder.addEventListener("dataavailable", ({ data }) => this.#parts.push(data));
    this.#recorder.start();
    this.#watch(onLevel);
  }

  /** The recording, as a file. */
  async stop() {
    const stopped = new Promise((resolve) => this.#recorder.addEventListener("stop", resolve, { once: true }));
    this.#recorder.stop();
    await stopped;
    cancelAnimationFrame(this.#drawing);
    for (const track of this.#stream.getTracks()) track.stop();
    await this.#context.close();
    const type = this.#recorder.mimeType.split(";")[0];
    return new File(this.#parts, "recording", { type });
  }

  #watch(onLevel) {
    this.#context = new AudioContext();
    const analyser = this.#context.createAnalyser();
    this.#context.createMediaStreamSource(this.#stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const began = performance.now();
    const look = () => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      onLevel(Math.min(1, Math.sqrt(power) / LOUDEST), (performance.now() - began) / 1000);
      this.#drawing = requestAnimationFrame(look);
    };
    look();
  }
}
