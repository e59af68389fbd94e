// The tab's one websocket. It comes back by itself, and what was sent and not yet answered is sent again:
// a question keeps the name its browser gave it, so the server carries it out once.

const SIGNED_OUT = 4401;
const LONGEST_WAIT = 15_000; // ms between two attempts

export class Socket extends EventTarget {
  #socket = null;
  #unanswered = new Map(); // client_id -> frame
  #attempt = 0;
  #timer = null;

  constructor() {
    super();
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
    this.#connect();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  // A frame that must arrive: it is kept until the server answers to its client_id.
  ask(frame) {
    if (frame.client_id) this.#unanswered.set(frame.client_id, frame);
    return this.tell(frame);
  }

  // A frame that is worth sending only now.
  tell(frame) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  #connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws/`);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", (event) => this.#heard(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => this.#closed(event.code));
  }

  #opened() {
    this.#attempt = 0;
    this.dispatchEvent(new Event("open"));
    for (const frame of this.#unanswered.values()) this.tell(frame);
  }

  #heard(frame) {
    if (frame.client_id) this.#unanswered.delete(frame.client_id);
    this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
  }

  #closed(code) {
    if (code === SIGNED_OUT) return location.assign(`/sign-in/?next=${encodeURIComponent(location.pathname)}`);
    this.dispatchEvent(new Event("lost"));
    const wait = Math.min(LONGEST_WAIT, 300 * 2 ** this.#attempt++) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#connect(), wait);
  }

  #hurry() {
    if (this.#socket.readyState !== WebSocket.CLOSED) return;
    clearTimeout(this.#timer);
    this.#connect();
  }
}
