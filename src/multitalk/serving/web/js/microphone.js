// The microphone as int16 at 16 kHz, in pieces of 20 ms.

const RATE = 16_000;

export class Microphone {
  /** `onSound` is called with an ArrayBuffer of 320 samples, little-endian. */
  constructor(onSound) {
    this.onSound = onSound;
    this.isClosed = false;
  }

  async open() {
    this.stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
    this.audio = new AudioContext({ sampleRate: RATE });
    await this.audio.audioWorklet.addModule(new URL("microphone_worklet.js", import.meta.url));
    if (this.isClosed) return this.close(); // before it was open
    const pieces = new AudioWorkletNode(this.audio, "pieces", { numberOfOutputs: 0 });
    pieces.port.onmessage = ({ data }) => {
      if (!this.isClosed) this.onSound(data); // what is still under way comes after the end of speech
    };
    this.audio.createMediaStreamSource(this.stream).connect(pieces);
  }

  close() {
    this.isClosed = true;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    if (this.audio && this.audio.state !== "closed") this.audio.close();
  }
}
