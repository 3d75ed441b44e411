// One job on the stage: its stages, its video as it is made, and what can be done with it.

import { duration, say, text } from "./language.js";
import { asSentence, showProblem } from "./problems.js";

const $ = (id) => document.getElementById(id);
const FINAL = ["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"];
const RETRYABLE = ["FAILED", "TIMED_OUT"];
const LOOK_MS = 300; // between two looks at a job
const LOOK_HIDDEN_MS = 2000; // while nobody sees the page
const FPS = 25;
// Where the bar stands as a stage begins; nearly all of the time is the video's.
const BEGINS = { queue: 0, collect: 0.01, speak: 0.03, load: 0.05, render: 0.07, deliver: 0.98 };
const STAGES = Object.keys(BEGINS);

/** Tells `failed` (detail: id, sentence, field), `ended`, and `picture` once there is one to see. */
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

  /** A job that is being sent: nothing of the one before is left. */
  begin() {
    this.#watching.abort();
    this.#announced.clear();
    this.#id = null;
    this.#isOver = false;
    this.#player.clear();
    $("job").hidden = false;
    $("remarks").hidden = true;
    for (const id of ["cancel", "retry", "download"]) $(id).hidden = true;
    showProblem($("job-problem"), null);
    say($("job-status"), "status_sending");
    this.#mark("queue", 0);
  }

  /** Nothing on the stage: what was begun could not be sent. */
  drop() {
    this.#watching.abort();
    $("job").hidden = true;
  }

  /** Follow a job to its end. */
  async watch(id) {
    this.begin();
    this.#id = id;
    const { signal } = (this.#watching = new AbortController());
    this.#announce("announce_started");
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
      if (job.status === "COMPLETED") await this.#finish(job, live, signal);
      else this.#fail(job);
    } catch (error) {
      if (error.name === "AbortError") return;
      showProblem($("job-problem"), error.sentence ?? error.message);
    }
    this.dispatchEvent(new Event("ended"));
  }

  // The video while it is made; after a worker that was lost, another begins anew.
  async #live(id, signal) {
    while (!signal.aborted) {
      try {
        return await this.#player.follow(await this.#server.live(id, signal), signal);
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
    if (this.#isOver) return;
    const { stage = "queue", done = 0, total = 0 } = (job.status === "IN_PROGRESS" && job.output) || {};
    say($("job-status"), `status_${stage}`, { done, total });
    this.#mark(stage, total ? done / total : 0);
    if (stage !== "render" || !total) return;
    this.#player.total = total / FPS;
    if (done >= total / 2) this.#announce("announce_half");
  }

  async #finish({ id, output, executionTime }, live, signal) {
    const address = output.video_url && this.#server.videoAddress(id, output.video_url);
    const facts = { ...output, work: duration(executionTime / 1000), talk: duration(output.duration_seconds) };
    this.#mark(null, 1);
    say($("job-status"), "status_done", facts);
    this.#announce("status_done", facts);
    const remarks = output.warnings.map(asSentence);
    if (output.video_path) remarks.push(text("video_elsewhere", { path: output.video_path }));
    $("remarks").replaceChildren(...remarks.map((remark) => Object.assign(document.createElement("li"), { textContent: remark })));
    $("remarks").hidden = !remarks.length;
    if (!address) return;
    $("download").hidden = false;
    const isOurs = address.startsWith(document.baseURI); // or it is in a bucket
    $("download").href = isOurs ? `${address}&download=1` : address;
    $("download").download = output.filename;
    $("download").target = isOurs ? "" : "_blank";
    if (!isOurs) return; // the page's policy plays its own server's videos only
    await live;
    if (!signal.aborted && !this.#player.isWhole) await this.#player.show(address, { andPlay: true });
  }

  #fail({ id, status, error, output }) {
    const said = { CANCELLED: "status_cancelled", TIMED_OUT: "status_timed_out" }[status] ?? "status_failed";
    say($("job-status"), said);
    this.#announce(said);
    this.#mark(null, 0);
    if (status === "CANCELLED") return;
    const detail = { id, sentence: error ?? text(said), field: output?.field ?? null };
    this.dispatchEvent(new CustomEvent("failed", { detail }));
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
