// The live page: a portrait that speaks what is typed or said, over WebSocket /v1/live.

import { language, languages, say, switchLanguage, text, translate } from "./language.js";
import { askForKey } from "./key.js";
import { LiveConnection } from "./live_connection.js";
import { RecordButton } from "./live_record.js";
import { LiveMsePlayer } from "./live_mse_player.js";
import { LivePlayer } from "./live_player.js";
import { Microphone } from "./microphone.js";
import { Server } from "./server.js";

const $ = (id) => document.getElementById(id);
const MICROPHONE_CONTROLS = ["talk", "open-microphone"];
const SPEAKING_CONTROLS = ["interrupt", "record", "say", "say-send", ...MICROPHONE_CONTROLS];

const canDecode = "VideoDecoder" in window; // only where the page's address is secure
const server = new Server(askForKey);
let portrait = null; // upload://ID; null: the example
let session = 0; // counts starts and ends: what awaits in between sees that it is late
let connection = null;
let player = null;
let microphone = null;
let isHeld = false; // the button to talk
const recording = new RecordButton((message) => connection?.send(message));
let askedAt = null; // when a text was sent whose first sound has not been played

function main() {
  for (const code of languages()) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.lang = code;
    button.textContent = new Intl.DisplayNames([code], { type: "language" }).of(code);
    button.onclick = () => switchLanguage(code);
    $("languages").append(button);
  }
  translate(document);
  show("live_idle");
  if (!canDecode) {
    say($("notice"), !LiveMsePlayer.isPossible ? "live_needs_decoder" : window.isSecureContext ? "live_later" : "live_needs_https");
    $("start").disabled = !LiveMsePlayer.isPossible;
  }
  $("start").onclick = () => (player ? stop() : start());
  $("interrupt").onclick = interrupt;
  $("say-form").onsubmit = (event) => {
    event.preventDefault();
    speak();
  };
  $("portrait-file").onchange = choosePortrait;
  $("open-microphone").onclick = () => listen(microphone === null, "open-microphone");
  for (const down of ["pointerdown", "keydown"]) $("talk").addEventListener(down, press);
  $("talk").oncontextmenu = (event) => event.preventDefault(); // of a long touch
  // Wherever the pointer is by then, or the focus: nobody is recorded who does not hold the button.
  for (const up of ["pointerup", "pointercancel", "keyup", "blur"]) addEventListener(up, letGo);
  document.addEventListener("visibilitychange", letGo);
  addEventListener("pagehide", stop);
}

function press(event) {
  const isPress = event.type === "pointerdown" ? event.button === 0 : event.key === " " || event.key === "Enter";
  if (!isPress || event.repeat || microphone) return;
  isHeld = true;
  listen(true, "talk");
}

function letGo() {
  if (isHeld) listen(false);
}

function show(key, values) {
  say($("state"), key, values);
}

async function choosePortrait() {
  const [file] = $("portrait-file").files;
  if (!file) return;
  try {
    show("portrait_sending");
    portrait = await server.upload(file, { medium: /^image/, otherwise: "not_a_picture" });
    show("live_portrait_ready");
    if (player) {
      stop();
      await start();
    }
  } catch (error) {
    fail(error.message);
  }
}

async function start() {
  const mine = ++session;
  if (canDecode) $("notice").hidden = true;
  show("live_connecting");
  say($("start"), "live_stop");
  const Player = canDecode ? LivePlayer : LiveMsePlayer;
  player = new Player($("face"), { onSpeech: answered, onEnd: () => show("live_listening") });
  try {
    await player.open();
    const health = await server.health();
    const admitted = !health.key_needed || (await server.hasKey());
    if (mine !== session) return;
    if (!admitted) return stop();
  } catch (error) {
    if (mine !== session) return;
    stop();
    return fail(error.message);
  }
  const first = { type: "start", size: Number($("size").value), format: canDecode ? "frames" : "mp4" };
  if (portrait) first.portrait = portrait;
  connection = new LiveConnection(server.keyForSocket(), () => ({ ...first, locale: language() }), {
    message: receive,
    frame: (bytes) => player.add(bytes),
    broken,
    end: ended,
  });
  connection.open();
  player.onKeyFrameNeeded = () => connection.send({ type: "key_frame" });
}

function broken() {
  askedAt = null;
  letGo();
  player.reset();
  recording.sessionEnded();
  enable(false);
  show("live_broken");
}

function enable(isReady) {
  for (const id of SPEAKING_CONTROLS) $(id).disabled = !isReady;
  if (!window.isSecureContext) for (const id of MICROPHONE_CONTROLS) $(id).disabled = true;
}

function receive(message) {
  if (message.type === "ready") {
    player.resize(message.width, message.height);
    enable(true);
    show(microphone ? "live_hears" : "live_listening");
    if (canDecode) $("notice").hidden = true;
    if (message.warnings.length) fail(message.warnings.join(" "));
    if (document.activeElement === document.body || document.activeElement === $("start")) $("say").focus();
  } else if (message.type === "stats") {
    $("figures").textContent = text("live_figures", { fps: message.fps.toFixed(0), behind: player?.behind ?? 0 });
  } else if (message.type === "recording") {
    recording.receive(message);
  } else if (message.type === "error") {
    askedAt = null;
    fail(message.error);
  }
}

function speak() {
  const words = $("say").value.trim();
  if (!words) return;
  askedAt = performance.now();
  connection?.send({ type: "say", text: words });
  $("say").value = "";
  show("live_thinking");
}

function answered() {
  if (askedAt === null) return show("live_speaking");
  show("live_answered", { ms: Math.round(performance.now() - askedAt) });
  askedAt = null;
}

function interrupt() {
  askedAt = null;
  player?.silence();
  connection?.send({ type: "interrupt" });
  show("live_listening");
}

async function listen(wanted, by) {
  if (!wanted) {
    isHeld = false;
    if (!microphone) return;
    microphone.close();
    microphone = null;
    connection?.send({ type: "flush" });
  } else {
    const opened = (microphone = new Microphone((pcm) => connection?.sendBytes(pcm), () => listen(false)));
    try {
      await opened.open();
    } catch {
      if (microphone !== opened) return;
      microphone = null;
      isHeld = false;
      fail(text("live_no_microphone"));
    }
    if (microphone !== opened && microphone !== null) return;
  }
  if (player) player.skips = microphone !== null;
  for (const id of MICROPHONE_CONTROLS)
    $(id).setAttribute("aria-pressed", String(microphone !== null && id === by));
  if (microphone) show("live_hears");
}

function stop() {
  ended(1000);
}

function ended(code) {
  session += 1;
  askedAt = null;
  isHeld = false;
  microphone?.close();
  player?.close();
  connection?.close();
  recording.sessionEnded();
  microphone = player = connection = null;
  enable(false);
  for (const id of MICROPHONE_CONTROLS) $(id).setAttribute("aria-pressed", "false");
  say($("start"), "live_start");
  show(code === 1000 || code === 1005 ? "live_idle" : "live_ended");
}

function fail(sentence) {
  $("notice").textContent = sentence;
  $("notice").hidden = false;
  $("notice").lang = language();
}

main();
