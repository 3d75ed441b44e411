// One job on the stage: its stages, its video as it is made, and what can be done with it.

import { duration, say, text } from "./language.js";
import { asSentence, showProblem } from "./problems.js";

const $ = (id) => document.getElementById(id);
const DEEDS = ["download", "download-srt", "download-vtt", "edit", "retry", "delete"]; // of a talk that ended
const NAME = "MultiTalk";
const FINAL = ["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"];
const RETRYABLE = ["FAILED", "TIMED_OUT"];
const LOOK_MS = 300; // between two looks at a job
const LOOK_HIDDEN_MS = 2000; // while nobody sees the page
const FPS = 25;
const PACED_SHARE = 0.04; // of the frames, after which the rest can be estimated
const PACED_MS = 800;
// Where the bar stands as a stage begins; nearly all of the time is the video's.
const BEGINS = { queue: 0, collect: 0.01, speak: 0.03, load: 0.05, render: 0.07, deliver: 0.98 };
const STAGES = Object.keys(BEGINS);

/**
 * Tells `failed` (detail: id, sentence, field), `ended` (detail: isGood), `edit` and `delete` (detail: id), and
 * `picture` once there is one to see.
 */
export class JobView extends EventTarget {
  #server;
  #player;
  #watching = new AbortController();
  #id = null;
  #announced = new Set();

  constructor(server, player) {
    super();
    this.#server = server;
    this.#player = player;
    player.onFirstFrame = () => {
      performance.mark("first-frame");
      if (!player.isWhole) this.#announce("announce_playing");
    };
    $("video").addEventListener("loadeddata", () => this.dispatchEvent(new Event("picture")));
    $("cancel").addEventListener("click", () => this.#ask((id) => this.#server.cancel(id)));
    $("delete").addEventListener("click", () => this.#want("delete"));
    $("edit").addEventListener("click", () => this.#want("edit"));
    $("retry").addEventListener("click", () =>
      this.#ask(async (id) => {
        await this.#server.retry(id);
        this.watch(id);
      }),
    );
  }

  get id() {
    return this.#id;
  }

  /** Whether a job is on its way: sent, and not ended. */
  get isBusy() {
    return !$("job").hidden && !this.#isOver;
  }

  /** Whether the talk's inputs are offered: those in the form are others. */
  set canEdit(isOther) {
    $("edit").hidden = !isOther || !this.#isOver;
  }

  /** A job that is being sent: nothing of the one before is left. */
  begin() {
    this.#watching.abort();
    this.#announced.clear();
    this.#id = null;
    this.#isOver = false;
    this.#player.clear();
    this.#pace = null;
    for (const id of ["job", "stages", "progress"]) $(id).hidden = false;
    for (const id of [...DEEDS, "remarks", "made-by-ai", "cancel"]) $(id).hidden = true;
    showProblem($("job-problem"), null);
    say($("job-status"), "status_sending");
    this.#mark("queue", 0);
  }

  /** Nothing on the stage: what was begun could not be sent. */
  drop() {
    this.#watching.abort();
    this.#player.clear();
    this.#id = null;
    $("job").hidden = true;
    document.title = NAME;
  }

  /** Follow a job to its end. */
  async watch(id, { isQuiet = false } = {}) {
    let isGood = false;
    this.begin();
    this.#id = id;
    const { signal } = (this.#watching = new AbortController());
    if (!isQuiet) this.#announce("announce_started");
    try {
      let job = await this.#server.status(id, signal);
      const isOld = FINAL.includes(job.status);
      const live = isOld ? Promise.resolve() : this.#live(id, signal);
      while (!FINAL.includes(job.status)) {
        this.#tell(job);
        await pause(document.hidden ? LOOK_HIDDEN_MS : LOOK_MS, signal);
        job = await this.#server.status(id, signal);
      }
      this.#tell(job);
      isGood = job.status === "COMPLETED";
      if (isGood) await this.#finish(job, live, signal);
      else this.#fail(job);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#isOver = true;
      this.#showEnd(error.status === 404 ? "status_gone" : "status_failed");
      if (error.status !== 404) showProblem($("job-problem"), error.sentence ?? error.message);
    }
    this.dispatchEvent(new CustomEvent("ended", { detail: { isGood } }));
  }

  // The video while it is made; after a worker that was lost, another begins anew.
  async #live(id, signal) {
    while (!signal.aborted) {
      try {
        const response = await this.#server.live(id, signal);
        if (response.status === 204) return undefined; // it ended without a video
        return await this.#player.follow(response, signal);
      } catch (error) {
        if (error.name === "AbortError" || error.status === 404 || this.#isOver) return undefined;
        await pause(LOOK_HIDDEN_MS, signal).catch(() => {});
      }
    }
    return undefined;
  }

  #isOver = false;

  #tell(job) {
    this.#isOver = FINAL.includes(job.status);
    $("cancel").hidden = this.#isOver;
    // where a field is to blame, the same again would fail again
    $("retry").hidden = !RETRYABLE.includes(job.status) || Boolean(job.output?.field);
    $("delete").hidden = !this.#isOver;
    if (this.#isOver) return;
    if (job.status === "IN_QUEUE") return this.#tellQueue(job);
    const { stage = "collect", done = 0, total = 0 } = job.output ?? {};
    this.#mark(stage, total ? done / total : 0);
    if (stage !== "render" || !total) return say($("job-status"), `status_${stage}`, this.#percent());
    const left = this.#left(done, total);
    const values = { ...this.#percent(), left: left && duration(left) };
    say($("job-status"), left ? "status_render_left" : "status_render", values);
    document.title = `${$("job-status").textContent} · ${NAME}`;
    this.#player.total = total / FPS;
    if (done >= total / 2) this.#announce("announce_half");
  }

  #tellQueue({ jobsAhead: count, workers }) {
    this.#mark("queue", 0);
    if (workers === 0) return this.#sayWaiting("status_no_worker");
    const key = { 0: "status_queue", 1: "status_queue_one" }[count] ?? "status_queue_many";
    return this.#sayWaiting(key, { count });
  }

  #sayWaiting(key, values) {
    say($("job-status"), key, values);
    this.#announce(key, values);
  }

  #percent() {
    return { percent: Math.round($("progress").value * 100) };
  }

  // Seconds that the rest of the frames will take at the pace so far; null while that is unknown.
  #left(done, total) {
    const now = performance.now();
    if (!this.#pace || done < this.#pace.done) this.#pace = { now, done };
    const [made, took] = [done - this.#pace.done, now - this.#pace.now];
    if (took < PACED_MS || made < total * PACED_SHARE) return null;
    return Math.max(1, Math.round(((total - done) * took) / made / 1000));
  }

  #pace = null; // {now, done}: when frames were first counted, and how many there were

  async #finish({ id, output, executionTime }, live, signal) {
    const address = output.video_url && this.#server.videoAddress(id, output.video_url);
    const facts = { ...output, work: duration(executionTime / 1000), talk: duration(output.duration_seconds) };
    this.#showEnd("status_done", facts);
    const remarks = output.warnings.map(asSentence);
    if (output.video_path) remarks.push(text("video_elsewhere", { path: output.video_path }));
    $("remarks").replaceChildren(...remarks.map((remark) => Object.assign(document.createElement("li"), { textContent: remark })));
    $("remarks").hidden = !remarks.length;
    $("made-by-ai").hidden = false;
    if (!address) return;
    const isOurs = address.startsWith(document.baseURI); // or it is in a bucket
    const subtitles = output.subtitles_url && this.#server.videoAddress(id, output.subtitles_url);
    this.#offer(address, subtitles, isOurs);
    if (!isOurs) return; // the page's policy plays its own server's videos only
    await live;
    if (signal.aborted) return;
    if (!this.#player.isWhole) await this.#player.show(address, { andPlay: true });
    if (subtitles) this.#player.subtitles = subtitles;
  }

  // Links that save the video and its subtitles; the server names the files.
  #offer(address, subtitles, isOurs) {
    $("download").hidden = false;
    $("download").href = isOurs ? `${address}&download=1` : address;
    $("download").target = isOurs ? "" : "_blank";
    for (const kind of ["srt", "vtt"]) {
      const link = $(`download-${kind}`);
      link.hidden = !subtitles;
      if (subtitles) link.href = `${subtitles.replace(".vtt?", `.${kind}?`)}&download=1`;
    }
  }

  #fail({ id, status, error, output }) {
    const said = { CANCELLED: "status_cancelled", TIMED_OUT: "status_timed_out" }[status] ?? "status_failed";
    this.#player.clear();
    this.#showEnd(said);
    if (status === "CANCELLED") return;
    const detail = { id, sentence: error ?? text(said), field: output?.field ?? null };
    this.dispatchEvent(new CustomEvent("failed", { detail }));
  }

  #showEnd(key, values) {
    for (const id of ["stages", "progress"]) $(id).hidden = true;
    say($("job-status"), key, values);
    this.#announce(key, values);
    document.title = key === "status_done" ? `✓ ${NAME}` : NAME;
  }

  // The stages before this one are done; none: all are, or none.
  #mark(stage, share) {
    const reached = stage ? STAGES.indexOf(stage) : share ? STAGES.length : -1;
    for (const item of $("stages").children) {
      const place = STAGES.indexOf(item.dataset.stage);
      item.classList.toggle("done", place < reached);
      item.classList.toggle("now", place === reached);
      if (place === reached) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
    const begins = stage ? BEGINS[stage] : share;
    const ends = BEGINS[STAGES[STAGES.indexOf(stage) + 1]] ?? 1;
    $("progress").value = stage ? begins + share * (ends - begins) : share;
  }

  // Each of a job's milestones is read out once.
  #announce(key, values) {
    if (this.#announced.has(key)) return;
    this.#announced.add(key);
    $("announcer").textContent = text(key, values);
  }

  #want(name) {
    this.dispatchEvent(new CustomEvent(name, { detail: this.#id }));
  }

  async #ask(action) {
    try {
      await action(this.#id);
    } catch (error) {
      showProblem($("job-problem"), error.sentence ?? error.message);
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("", "AbortError"));
    });
  });
}
