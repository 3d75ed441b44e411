// The live page's button that records the session, and the address of what was recorded.

import { say } from "./language.js";

const $ = (id) => document.getElementById(id);

export class RecordButton {
  #isRecording = false;

  /** `send` sends a message to the session. */
  constructor(send) {
    $("record").onclick = () => send({ type: "record", action: this.#isRecording ? "stop" : "start" });
  }

  receive({ state, url, seconds, max_seconds: most }) {
    this.#show(state === "started");
    $("recording").hidden = state === "failed"; // an error message says why
    if (state === "failed") return;
    if (state === "started") say($("recording-state"), "live_records", { minutes: Math.round(most / 60) });
    else say($("recording-state"), "live_recorded", { seconds: Math.round(seconds) });
    $("recording-link").href = url;
    $("recording-link").hidden = state === "started";
  }

  /** What was recorded until then is finished by the server. */
  sessionEnded() {
    if (!this.#isRecording) return;
    this.#show(false);
    say($("recording-state"), "live_recording_ended");
    $("recording-link").hidden = false;
  }

  #show(isRecording) {
    this.#isRecording = isRecording;
    $("record").setAttribute("aria-pressed", String(isRecording));
    say($("record"), isRecording ? "live_record_stop" : "live_record");
  }
}
