// The page: a portrait, voices and a prompt become a job; its video plays while it is made.

import { ask } from "./ask.js";
import { takePicture } from "./camera.js";
import { Checks } from "./checks.js";
import { hasConsent } from "./consent.js";
import { Form } from "./form.js";
import { History } from "./history.js";
import { checkVideos } from "./inspect.js";
import { JobView } from "./job.js";
import { askForKey } from "./key.js";
import { language, languages, say, switchLanguage, text, translate } from "./language.js";
import { Player } from "./player.js";
import { Portrait } from "./portrait.js";
import { problemsOf, showProblem } from "./problems.js";
import { reopen } from "./reopen.js";
import { Server } from "./server.js";
import { Voices } from "./voices.js";

const $ = (id) => document.getElementById(id);
const WORKER_MS = 2000; // between two looks for a worker while there is none

translate(document);

const server = new Server(askForKey);
const portrait = new Portrait(server);
const voices = new Voices(server, portrait);
const form = new Form(portrait, voices);
const checks = new Checks(server, form);
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
portrait.addEventListener("change", () => (isReopening ? showStage() : see(false)));

// The example, the camera, the language, the key ---------------------------------------------------

$("example").addEventListener("click", async () => {
  const picture = await (await fetch(new URL("example.jpg", document.baseURI))).blob();
  const [first] = voices.all;
  if (first.missing()) first.words = { text: text("example_line"), voice: "female" };
  await portrait.take(new File([picture], "example.jpg", { type: picture.type }));
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

for (const code of languages()) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  button.lang = button.dataset.language = code;
  button.textContent = new Intl.DisplayNames([code], { type: "language" }).of(code);
  button.addEventListener("click", () => switchLanguage(code));
  $("languages").append(button);
}
document.addEventListener("language", () => {
  markLanguage();
  showStage();
  form.clearProblems();
  checks.soon();
});
markLanguage();

$("change-key").addEventListener("click", async () => {
  await server.changeKey();
  start();
});

// A job --------------------------------------------------------------------------------------------

let sent = { id: null, signature: null }; // the job that the form's contents belong to
let isReopening = false;

for (const part of [portrait, voices, form]) part.addEventListener("change", () => changed());

function changed() {
  showEdit();
  if (form.isEmpty) checks.forget();
  else if (!isReopening) checks.soon();
}

function showEdit() {
  view.canEdit = view.id !== sent.id || form.signature !== sent.signature;
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if ($("send").disabled) return;
  performance.clearMarks();
  performance.mark("submit");
  $("send").disabled = true;
  try {
    if (!(await checks.now()) || !(await hasConsent())) return;
    if (view.isBusy && !(await ask("ask_another"))) return;
    await send();
  } finally {
    $("send").disabled = false;
  }
});

async function send() {
  view.begin();
  see(false);
  revealStage();
  const { signature } = form;
  try {
    const { id } = await server.run(await form.input());
    sent = { id, signature };
    open(id);
  } catch (error) {
    view.drop();
    place(error);
  }
}

function open(id, how) {
  talks.current = id;
  see(false);
  view.watch(id, how);
  refreshTalks();
}

function place(error) {
  if (!error.sentence) throw error;
  showProblem($("form-problem"), form.place(error));
}

function revealStage() {
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const { top, bottom } = $("job").getBoundingClientRect();
  if (top < 0 || bottom > innerHeight)
    $("frame").scrollIntoView({ behavior: isStill ? "auto" : "smooth", block: "start" });
}

view.addEventListener("failed", ({ detail }) => {
  const told = () => problemsOf(detail).map(([, sentence]) => sentence).join("\n");
  const left = detail.id === sent.id ? form.place(detail) : told();
  showProblem($("job-problem"), left);
  if (!left) say($("job-status"), "status_failed_marked");
});
view.addEventListener("ended", ({ detail }) => {
  if (detail.isGood && !form.isEmpty) checks.again(); // there is one more to estimate from
  showStage();
  showEdit();
  refreshTalks();
});

// Earlier talks ------------------------------------------------------------------------------------

talks.addEventListener("open", async ({ detail: id }) => {
  form.clearProblems();
  const isTouched = !form.isEmpty && form.signature !== sent.signature;
  open(id, { isQuiet: true });
  revealStage();
  if (!isTouched && id !== sent.id) await bringBack(id);
});
view.addEventListener("edit", async ({ detail: id }) => {
  const isTouched = !form.isEmpty && form.signature !== sent.signature;
  if (isTouched && !(await ask("ask_replace"))) return;
  await bringBack(id);
  see(false);
  voices.all[0].focus();
});
for (const part of [view, talks]) part.addEventListener("delete", ({ detail }) => remove(detail));

// The inputs of an earlier talk, back into the form.
async function bringBack(id) {
  isReopening = true;
  checks.forget();
  try {
    await reopen(id, { server, portrait, voices, form });
    sent = { id, signature: form.signature };
  } catch (error) {
    if (error.status !== 404) place(error); // a talk that is gone is said on the stage
  } finally {
    isReopening = false;
  }
  changed();
}

async function remove(id) {
  if (!(await ask("ask_delete", { yes: "delete" }))) return;
  try {
    await server.delete(id);
  } catch (error) {
    if (error.status !== 404) return showProblem($("notice"), error.sentence ?? error.message);
  }
  if (view.id === id) {
    view.drop();
    see(false);
  }
  await talks.refresh().catch(() => {});
  ($("history").querySelector("button") ?? $("send")).focus();
}

function refreshTalks() {
  talks.refresh().catch(() => {}); // the list is a comfort; whatever is wrong shows elsewhere
}

// The server ---------------------------------------------------------------------------------------

async function start() {
  showProblem($("notice"), null);
  try {
    const health = await server.health();
    offer(health);
    $("change-key").hidden = !health.key_needed;
    talks.keptSeconds = health.retention_seconds;
    if (!health.workers) awaitWorker();
    if (health.key_needed && !(await server.hasKey())) return;
    const [{ languages, voices: speakers }] = await Promise.all([server.voices(), talks.refresh()]);
    voices.offered = { languages, speakers };
  } catch (error) {
    showProblem($("notice"), error.sentence ?? error.message);
  }
}

function offer({ engine, engines, workers }) {
  form.offer(engines, engine);
  $("no-worker").hidden = workers > 0;
}

// A worker takes some seconds to start, or is started by hand.
function awaitWorker() {
  setTimeout(async () => {
    const health = await server.health().catch(() => null);
    if (health) offer(health);
    if (!health?.workers) awaitWorker();
  }, WORKER_MS);
}

checkVideos(server);
showStage();
start();
