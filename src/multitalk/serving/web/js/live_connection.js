// The connection to WebSocket /v1/live, opened again where it breaks: docs/live.md.

// Without a message, after which the connection counts as broken: there are 25 a second once the session has begun.
const SILENT_MS = 5000;
const BEGINNING_MS = 60_000;
const LOOK_MS = 1000;
const WAITS_MS = [100, 500, 1000, 2000, 4000, 8000, 8000, 8000]; // before each attempt to connect again
// Codes with which a connection has ended for good (RFC 6455, 7.4.1): closed by this page, or refused.
const FINAL = [1000, 1005, 1008];

export class LiveConnection {
  #socket = null;
  #attempts = 0;
  #wasReady = false; // ever
  #isReady = false; // this session
  #heardAt = 0;
  #waiting = null;
  #watching = null;

  /**
   * `start`: makes the first message. `on`: called with what happens, `message(json)`, `frame(bytes)`, `broken()` before it
   * connects again, and `end(code)`.
   */
  constructor(key, start, on) {
    this.protocols = ["multitalk.live.v1", ...(key ? [`multitalk.key.${key}`] : [])];
    this.start = start;
    this.on = on;
  }

  open() {
    const url = new URL("v1/live", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.#socket = new WebSocket(url, this.protocols));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.send(this.start());
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#closed(code);
    this.#heardAt = performance.now();
    this.#isReady = false;
    this.#watching = setInterval(() => {
      if (performance.now() - this.#heardAt < (this.#isReady ? SILENT_MS : BEGINNING_MS)) return;
      this.#forget();
      this.#closed(1006);
    }, LOOK_MS);
  }

  send(message) {
    this.sendBytes(JSON.stringify(message));
  }

  /** Sound, too, is not kept for later: it would be late. */
  sendBytes(content) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(content);
  }

  close() {
    clearTimeout(this.#waiting);
    this.#forget();
  }

  #receive(data) {
    this.#heardAt = performance.now();
    if (typeof data !== "string") return this.on.frame(data);
    const message = JSON.parse(data);
    if (message.type === "ready") {
      this.#wasReady = this.#isReady = true;
      this.#attempts = 0;
    }
    this.on.message(message);
  }

  #closed(code) {
    this.#forget();
    if (!this.#wasReady || FINAL.includes(code) || this.#attempts === WAITS_MS.length) return this.on.end(code);
    this.on.broken();
    this.#waiting = setTimeout(() => this.open(), WAITS_MS[this.#attempts++]);
  }

  #forget() {
    clearInterval(this.#watching);
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }
}
