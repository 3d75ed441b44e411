// The microphone as int16 at 16 kHz, in pieces of 20 ms.

import { runningAudio } from "./running_audio.js";

export class Microphone {
  /** `onSound` is called with an ArrayBuffer of 320 samples, little-endian; `onEnd` where the device has gone. */
  constructor(onSound, onEnd = () => {}) {
    this.onSound = onSound;
    this.onEnd = onEnd;
    this.isClosed = false;
  }

  /** Where this fails, nothing is left open. */
  async open() {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
      if (this.isClosed) return this.close(); // before it was open
      for (const track of this.stream.getTracks()) track.addEventListener("ended", () => this.isClosed || this.onEnd());
      this.audio = runningAudio();
      await this.audio.audioWorklet.addModule(new URL("microphone_worklet.js", import.meta.url));
      if (this.isClosed) return this.close();
      const pieces = new AudioWorkletNode(this.audio, "pieces", { numberOfOutputs: 0 });
      pieces.port.onmessage = ({ data }) => {
        if (!this.isClosed) this.onSound(data); // what is still under way comes after the end of speech
      };
      this.audio.createMediaStreamSource(this.stream).connect(pieces);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close() {
    this.isClosed = true;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    if (this.audio && this.audio.state !== "closed") this.audio.close();
  }
}
