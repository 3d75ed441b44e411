// A WebRTC client of a live session, for benchmarks/live_webrtc.py. All times are of performance.now().

const SQUARE = 32; // pixels of a mark's side: see sitecustomize.py
const CLICK_SECONDS = 1.02;
const HUM_HZ = 140;

const marks = (window.marks = { painted: [], clicks: [], stats: [] });
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
let audio, peer, tapped;

const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  #lastClick = 0;
  process([[samples]]) {
    for (let i = 0; i < (samples?.length ?? 0); i++) {
      const time = (currentFrame + i) / sampleRate;
      if (Math.abs(samples[i]) > 0.6 && time > this.#lastClick + 0.3) this.port.postMessage((this.#lastClick = time));
    }
    return true;
  }
});`;

function performanceTime(seconds) {
  const { contextTime, performanceTime: now } = audio.getOutputTimestamp();
  return now + 1000 * (seconds - contextTime);
}

/** A session of this size; its microphone is silent until `speak`. */
window.connect = async (size) => {
  audio = new AudioContext({ latencyHint: "interactive" });
  await audio.resume();
  await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([TAP], { type: "text/javascript" })));
  window.microphone = audio.createMediaStreamDestination();
  peer = new RTCPeerConnection();
  peer.createDataChannel("messages");
  const stream = new MediaStream();
  const video = Object.assign(document.createElement("video"), { autoplay: true, playsInline: true, srcObject: stream });
  document.body.prepend(video);
  peer.ontrack = ({ track }) => stream.addTrack(track);
  peer.addTransceiver("video", { direction: "recvonly" });
  peer.addTransceiver(microphone.stream.getAudioTracks()[0], { direction: "sendrecv" });
  await peer.setLocalDescription();
  while (peer.iceGatheringState !== "complete") await pause(20);
  const answer = await fetch("v1/live/webrtc", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ type: "offer", sdp: peer.localDescription.sdp, size }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  await peer.setRemoteDescription(await answer.json());
  while (!video.videoWidth) await pause(20);
  tapped = new AudioWorkletNode(audio, "tap");
  tapped.port.onmessage = ({ data }) => marks.clicks.push(performanceTime(data));
  audio.createMediaStreamSource(new MediaStream([peer.getReceivers().find(({ track }) => track.kind === "audio").track])).connect(tapped);
  watch(video);
  setInterval(note, 1000);
};

function watch(video) {
  const copy = new OffscreenCanvas(2 * SQUARE, SQUARE).getContext("2d", { willReadFrequently: true });
  const look = (_, { expectedDisplayTime }) => {
    copy.drawImage(video, 0, 0);
    const { data } = copy.getImageData(0, SQUARE / 2, 2 * SQUARE, 1);
    const isWhite = (square) => data[4 * (square * SQUARE + SQUARE / 2)] > 127;
    marks.painted.push({ click: isWhite(0), open: isWhite(1), time: expectedDisplayTime });
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}

async function note() {
  const found = { time: performance.now() };
  for (const one of (await peer.getStats()).values()) if (one.type === "inbound-rtp") found[one.kind] = { ...one };
  if (found.audio && found.video) marks.stats.push(found);
}

/** Speaks: a hum of changing loudness, and a click each second; when these were sent. */
window.speak = async (seconds) => {
  const rate = audio.sampleRate;
  const buffer = audio.createBuffer(1, seconds * rate, rate);
  const samples = buffer.getChannelData(0);
  for (let i = 0; i < samples.length; i++) {
    const time = i / rate;
    let wave = 0;
    for (let k = 1; k < 9; k++) wave += Math.sin(2 * Math.PI * HUM_HZ * k * time) / k;
    samples[i] = 0.15 * wave * (0.6 + 0.4 * Math.sin(8 * Math.PI * time));
  }
  const places = [];
  for (let time = 0.5; time < seconds - 0.5; time += CLICK_SECONDS) places.push(time);
  // Opus keeps loud low tones, not single samples
  for (const time of places)
    for (let i = 0; i < 0.01 * rate; i++) samples[Math.round(time * rate) + i] = Math.sin((2 * Math.PI * 400 * i) / rate) * 1.5;
  const source = audio.createBufferSource();
  source.buffer = buffer;
  source.connect(microphone);
  const begins = audio.currentTime + 0.05;
  source.start(begins);
  const first = performanceTime(begins);
  await pause(1000 * (seconds + 0.5));
  return places.map((time) => first + 1000 * time);
};

/** What was noted since the last call. */
window.takeMarks = () => {
  const { painted, clicks, stats } = marks;
  for (const name of ["painted", "clicks", "stats"]) marks[name] = [];
  return { painted, clicks, stats };
};
