// Runs before the live page's own scripts: notes when marks are painted, when clicks and silence are heard, and
// keeps the page's WebSocket, so that a benchmark can send sound by it. All times are of performance.now().

const RATE = 16_000;
const FRAME = 640; // samples of 40 ms
const PACKET = 320; // samples of 20 ms
const SQUARE = 32; // pixels of a mark's side: see sitecustomize.py
const CLICK = 32_767;

const marks = (window.marks = { received: [], painted: [], clicks: [], silent: [], socket: null, audio: null, stats: [] });

window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    marks.socket = this;
    this.addEventListener("message", ({ data }) => {
      if (typeof data === "string") {
        if (data.includes('"stats"')) marks.stats.push(JSON.parse(data));
      } else if (new Int16Array(data.slice(16 + new DataView(data).getUint32(12, true))).some((value) => value === CLICK)) {
        marks.received.push(performance.now());
      }
    });
  }
};

const draw = CanvasRenderingContext2D.prototype.drawImage;
const channel = new MessageChannel();
let drawn = [];
channel.port1.onmessage = () => {
  const time = performance.now(); // the frame that was drawn has been given to the compositor
  for (const mark of drawn) marks.painted.push({ ...mark, time });
  drawn = [];
};
CanvasRenderingContext2D.prototype.drawImage = function (...given) {
  draw.apply(this, given);
  const { data } = this.getImageData(0, SQUARE / 2, 2 * SQUARE, 1);
  const isWhite = (square) => data[4 * (square * SQUARE + SQUARE / 2)] > 127;
  drawn.push({ click: isWhite(0), open: isWhite(1) });
  channel.port2.postMessage(null);
};

/** Notes the marks of a <video>, which the page shows where it cannot decode frames. */
window.watchVideo = () => {
  const video = document.querySelector("video");
  const copy = new OffscreenCanvas(2 * SQUARE, SQUARE).getContext("2d", { willReadFrequently: true });
  const look = () => {
    copy.drawImage(video, 0, 0);
    const { data } = copy.getImageData(0, SQUARE / 2, 2 * SQUARE, 1);
    const isWhite = (square) => data[4 * (square * SQUARE + SQUARE / 2)] > 127;
    marks.painted.push({ click: isWhite(0), open: isWhite(1), time: performance.now() });
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
};

const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  #quiet = true;
  #lastClick = 0;
  process([[samples]]) {
    let loud = false;
    for (let i = 0; i < (samples?.length ?? 0); i++) {
      const level = Math.abs(samples[i]);
      if (level > 0.001) loud = true;
      const time = (currentFrame + i) / sampleRate;
      if (level > 0.9 && time > this.#lastClick + 0.1) this.port.postMessage({ kind: "clicks", time: (this.#lastClick = time) });
    }
    if (loud === this.#quiet) {
      this.#quiet = !loud;
      if (!loud) this.port.postMessage({ kind: "silent", time: currentFrame / sampleRate });
    }
    return true;
  }
});`;

window.AudioContext = class extends AudioContext {
  constructor(...given) {
    super(...given);
    marks.audio = this;
    this.tap = null;
    this.untapped = []; // connected before there was a tap
    this.audioWorklet.addModule(URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }))).then(() => {
      this.tap = new AudioWorkletNode(this, "tap");
      for (const node of this.untapped) connect.call(node, this.tap);
      this.tap.port.onmessage = ({ data }) => {
        const { contextTime, performanceTime } = this.getOutputTimestamp();
        marks[data.kind].push(performanceTime + 1000 * (data.time - contextTime));
      };
    });
  }
};
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...more) {
  if (target === this.context.destination) {
    if (this.context.tap) connect.call(this, this.context.tap);
    else this.context.untapped.push(this);
  }
  return connect.call(this, target, ...more);
};

/** What was noted since the last call. */
window.takeMarks = () => {
  const { received, painted, clicks, silent, stats } = marks;
  for (const name of ["received", "painted", "clicks", "silent", "stats"]) marks[name] = [];
  return { received, painted, clicks, silent, stats, latency: marks.audio?.outputLatency ?? 0 };
};

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function hum(samples) {
  const pcm = new Int16Array(samples);
  for (let i = 0; i < samples; i++) {
    const t = i / RATE;
    let wave = 0;
    for (let k = 1; k < 9; k++) wave += Math.sin(2 * Math.PI * 140 * k * t) / k;
    pcm[i] = 6000 * wave * (0.6 + 0.4 * Math.sin(8 * Math.PI * t));
  }
  return pcm;
}

function addClick(pcm, place) {
  pcm.fill(CLICK, place, place + 3);
}

/** As a synthesizer: a second of sound at once, and an interruption in its midst, or its end. */
window.synthesize = async (seconds) => {
  const sent = [];
  const interrupted = [];
  const ends = performance.now() + 1000 * seconds;
  for (let number = 0; performance.now() < ends; number++) {
    const pcm = hum(RATE);
    addClick(pcm, 0);
    sent.push(performance.now());
    marks.socket.send(pcm.buffer);
    if (number % 2) {
      marks.socket.send('{"type": "flush"}');
      await pause(1400 + 200 * Math.random());
    } else {
      await pause(500 + 200 * Math.random());
      interrupted.push(performance.now());
      document.getElementById("interrupt").click();
      await pause(800 + 200 * Math.random());
    }
  }
  return { sent, interrupted };
};

/** As a microphone: packets of 20 ms, a click a second, at a different place of a frame each time. */
window.speak = async (seconds) => {
  const sent = [];
  const pcm = hum(RATE * seconds);
  const begins = performance.now();
  for (let packet = 0; packet * PACKET < pcm.length; packet++) {
    const hasClick = packet % 51 === 25;
    if (hasClick) addClick(pcm, packet * PACKET);
    await pause(Math.max(0, begins + 20 * packet - performance.now()));
    if (hasClick) sent.push(performance.now());
    marks.socket.send(pcm.slice(packet * PACKET, (packet + 1) * PACKET).buffer);
  }
  marks.socket.send('{"type": "flush"}');
  await pause(1000);
  return { sent, interrupted: [] };
};
