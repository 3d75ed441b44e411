// The page: a portrait, voices and a prompt become a job; its video plays while it is made.

import { takePicture } from "./camera.js";
import { Form } from "./form.js";
import { History } from "./history.js";
import { JobView } from "./job.js";
import { askForKey } from "./key.js";
import { duration, language, switchLanguage, text, translate } from "./language.js";
import { Player } from "./player.js";
import { Portrait } from "./portrait.js";
import { showProblem } from "./problems.js";
import { Server } from "./server.js";
import { Voices } from "./voices.js";

const $ = (id) => document.getElementById(id);
const ESTIMATE_MS = 600; // after the last change

translate(document);

const server = new Server(askForKey);
const portrait = new Portrait(server);
const voices = new Voices(server, portrait);
const form = new Form(portrait, voices);
const player = new Player($("video"));
const view = new JobView(server, player);
const talks = new History(server);

// What is on the stage: nothing, the portrait with its faces, or the video -------------------------

let isVideoSeen = false;

function showStage() {
  const hasVideo = Boolean($("video").getAttribute("src"));
  isVideoSeen &&= hasVideo;
  $("video").hidden = !isVideoSeen;
  $("picture").hidden = isVideoSeen || !portrait.file;
  $("empty").hidden = isVideoSeen || Boolean(portrait.file);
  $("portrait-tools").hidden = isVideoSeen;
  $("portrait-replace").hidden = $("portrait-remove").hidden = !portrait.file;
  $("views").hidden = !hasVideo;
  $("see-portrait").setAttribute("aria-pressed", String(!isVideoSeen));
  $("see-video").setAttribute("aria-pressed", String(isVideoSeen));
}

function see(isVideo) {
  isVideoSeen = isVideo;
  if (!isVideo) $("video").pause();
  showStage();
}

$("see-portrait").addEventListener("click", () => see(false));
$("see-video").addEventListener("click", () => see(true));
view.addEventListener("picture", () => see(true));
portrait.addEventListener("change", () => see(false));
showStage();

// The example, the camera, the language, the key ---------------------------------------------------

$("example").addEventListener("click", async () => {
  const picture = await (await fetch(new URL("example.jpg", document.baseURI))).blob();
  portrait.take(new File([picture], "example.jpg", { type: picture.type }));
  const [first] = voices.all;
  if (first.missing()) first.words = text("example_line");
  $("form").requestSubmit();
});

$("camera").hidden = !navigator.mediaDevices?.getUserMedia;
$("camera").addEventListener("click", async () => {
  const picture = await takePicture();
  if (picture) portrait.take(picture);
});

function markLanguage() {
  for (const button of document.querySelectorAll("[data-language]"))
    button.setAttribute("aria-pressed", String(button.dataset.language === language()));
}

for (const button of document.querySelectorAll("[data-language]"))
  button.addEventListener("click", () => switchLanguage(button.dataset.language));
document.addEventListener("language", () => {
  markLanguage();
  showStage();
  estimateSoon();
});
markLanguage();

$("change-key").addEventListener("click", async () => {
  await server.changeKey();
  start();
});

// What it will take --------------------------------------------------------------------------------

let estimateTimer = null;
let estimating = new AbortController();

function estimateSoon() {
  clearTimeout(estimateTimer);
  estimating.abort();
  $("estimate").textContent = "";
  estimateTimer = setTimeout(estimate, ESTIMATE_MS);
}

async function estimate() {
  if (!form.isComplete({ aloud: false })) return;
  const { signal } = (estimating = new AbortController());
  try {
    const told = await server.estimate(await form.input(), signal);
    if (!signal.aborted) $("estimate").textContent = sentenceOf(told);
  } catch {
    // what is wrong is said when the job is sent
  }
}

function sentenceOf({ talk_seconds: talk, work_seconds: work, waiting_seconds: wait, price, currency }) {
  if (talk === null) return "";
  const times = { talk: duration(talk), work: duration(work ?? 0), wait: duration(wait ?? 0) };
  const key = work === null ? "estimate_talk" : wait >= 1 ? "estimate_wait" : "estimate";
  if (price === null) return text(key, times);
  const money = new Intl.NumberFormat(language(), { style: "currency", currency, maximumFractionDigits: 4 });
  return `${text(key, times)} ${text("estimate_price", { price: money.format(price) })}`;
}

for (const part of [portrait, voices, form]) part.addEventListener("change", estimateSoon);

// A job --------------------------------------------------------------------------------------------

let sentId = null; // of the job that was made of the form as it is

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  form.clearProblems();
  if (!form.isComplete({ aloud: true })) return;
  $("send").disabled = true;
  performance.clearMarks();
  performance.mark("submit");
  view.begin();
  see(false);
  revealStage();
  try {
    const input = await form.input();
    const { id } = await server.run(input);
    sentId = id;
    talks.remember(id, { title: voices.all[0].title, thumbnail: portrait.thumbnail() });
    open(id);
  } catch (error) {
    view.drop();
    place(error);
  }
  $("send").disabled = false;
});

function open(id) {
  talks.current = id;
  see(false);
  view.watch(id);
  refreshTalks();
}

function place(error) {
  if (!error.sentence) throw error;
  showProblem($("form-problem"), form.place(error));
}

function revealStage() {
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if ($("frame").getBoundingClientRect().top < 0)
    $("frame").scrollIntoView({ behavior: isStill ? "auto" : "smooth", block: "start" });
}

view.addEventListener("failed", ({ detail }) => {
  const isForms = detail.id === sentId;
  showProblem($("job-problem"), isForms ? form.place(detail) : detail.sentence);
});
view.addEventListener("ended", () => {
  refreshTalks();
  estimateSoon();
});
talks.addEventListener("open", ({ detail }) => {
  form.clearProblems();
  revealStage();
  open(detail);
});

function refreshTalks() {
  talks.refresh().catch(() => {}); // the list is a comfort; whatever is wrong shows elsewhere
}

// The server ---------------------------------------------------------------------------------------

async function start() {
  showProblem($("notice"), null);
  try {
    const { engine, key_needed: isKeyNeeded } = await server.health();
    form.engine = engine;
    $("change-key").hidden = !isKeyNeeded;
    if (isKeyNeeded && !(await server.hasKey())) return;
    const [{ languages }] = await Promise.all([server.voices(), talks.refresh()]);
    voices.languages = languages;
  } catch (error) {
    showProblem($("notice"), error.sentence ?? error.message);
  }
}

start();
