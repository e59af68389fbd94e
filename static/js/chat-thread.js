// <chat-thread data-place="/c/…/place/">: the messages of one chat. It shows what frames tell and says what a
// reader asks of a message: events "do" with {action, message}.

import { Answer, fragment } from "./answer.js";
import { cookie } from "./cookie.js";
import { Ends, inView, still } from "./ends.js";
import { TELL } from "./wire.js";

export class ChatThread extends HTMLElement {
  #answers = new Map(); // run -> Answer
  #clock = 0;
  #ends = new Ends(this);
  #loading = 0;
  #meanwhile = new Set(); // lists of frames that came while something is drawn anew
  #renewals = new Map(); // boards by their id: how often each was asked for
  #wanted = ""; // where another tab went

  connectedCallback() {
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("pointerover", (event) => this.#light(event));
    this.addEventListener("focusin", (event) => this.#light(event));
    this.addEventListener("more", () => this.#watchAll(this));
    this.#adopt();
  }

  // The numbers last seen of every answer that is being written.
  get seen() {
    return Object.fromEntries([...this.#answers].map(([run, answer]) => [run, answer.seq]));
  }

  get live() {
    return this.querySelector(":is(.answer[data-state=running], .answer[data-state=queued]):not([data-mode=background])");
  }

  // The message that the next question follows; where the end of the path is not shown, the server named it.
  get tip() {
    if (this.querySelector(".end.newer")) return this.#list.dataset.tip || null;
    const last = [...this.querySelectorAll(".turn.answer, .board")].at(-1);
    return last?.dataset.at ?? last?.dataset.message ?? null;
  }

  // The comparison that the path ends with.
  get board() {
    return this.#list?.lastElementChild?.querySelector(":scope > lane-board") ?? null;
  }

  get lastQuestion() {
    return [...this.querySelectorAll(".question")].at(-1) ?? null;
  }

  has(message) {
    return Boolean(document.getElementById(`m-${message}`));
  }

  // The question as its writer sees it at once, before the server has said anything.
  propose({ client_id, text, images, files = [], parent }) {
    this.#cutAfter(parent);
    const item = clone("question-template");
    item.id = `q-${client_id}`;
    this.#fill(item, { text, images });
    const names = files.map((name) => Object.assign(document.createElement("span"), { className: "file", textContent: name }));
    item.querySelector(".said button").before(...names);
    this.#list.append(item);
  }

  withdraw(client_id) {
    document.getElementById(`q-${client_id}`)?.remove();
  }

  apply(frame) {
    for (const list of this.#meanwhile) list.push(frame);
    switch (frame.type) {
      case TELL.STARTED:
        return this.#started(frame);
      case TELL.COMPARED:
        return this.#compared(frame);
      case TELL.VOTED:
        return this.#renew(frame.comparison);
      case TELL.SETTLED:
        return this.#settled(frame);
      default:
        return this.#answers.get(frame.run)?.apply(frame);
    }
  }

  // The thread as the server has it; with a message, on the newest path through that one. What is read stays in view.
  // Where the end of the path is not shown, that is what comes.
  async reload(message = "") {
    if (!this.dataset.place) return;
    const number = ++this.#loading;
    const turns = [...this.querySelectorAll(".turn")];
    const body = new URLSearchParams({ message, since: this.querySelector(".end.newer") ? "" : (turns[0]?.dataset.at ?? turns[0]?.dataset.message ?? "") });
    const missed = [];
    this.#meanwhile.add(missed);
    const response = await fetch(this.dataset.place, { method: "POST", body, headers: { "X-CSRFToken": cookie("csrftoken") } }).catch(() => null);
    const part = response?.ok && fragment(await response.text());
    this.#meanwhile.delete(missed);
    if (number !== this.#loading) return; // a newer one is on its way
    this.#loading = 0;
    if (!part) return;
    const pending = [...this.querySelectorAll("[id^=q-]")]; // asked, and not yet told of
    const focused = message || document.activeElement?.closest?.(".turn, .lane")?.dataset.message;
    this.#swap(part, message);
    for (const item of pending) if (!document.getElementById(item.id)) this.#list.append(item);
    this.#adopt();
    for (const frame of missed) this.apply(frame); // what the thread had already is ignored
    if (focused) document.getElementById(`m-${focused}`)?.focus({ preventScroll: true });
    this.dispatchEvent(new Event("reloaded"));
    this.#follow();
  }

  // By another of the person's tabs: this one follows, unless it is there already.
  moved(tip) {
    this.#wanted = tip;
    if (!this.#loading) this.#follow();
  }

  #follow() {
    const tip = this.#wanted;
    this.#wanted = "";
    if (tip && tip !== this.#list?.dataset.tip && !this.has(tip)) this.reload();
  }

  // Put a new thread in the place of the old: a message that both have stays where it is on the screen.
  #swap(part, message) {
    const ids = new Set([...part.querySelectorAll(".turn")].map((turn) => turn.id));
    const was = [...this.querySelectorAll(".turn")];
    const old = (message && this.#turnOf(message)) || inView(was.filter((turn) => ids.has(turn.id)));
    const top = old?.getBoundingClientRect().top;
    const id = message ? `m-${message}` : old?.id;
    keepOpen(this, part);
    still(null, () => this.replaceChildren(part));
    const now = id && document.getElementById(id)?.closest(".turn");
    if (now && top !== undefined) scrollBy({ top: now.getBoundingClientRect().top - top, behavior: "instant" });
    else if (now) now.scrollIntoView({ block: "start", behavior: "instant" });
  }

  // The turn that stands where a version of it will stand.
  #turnOf(message) {
    const button = this.querySelector(`[data-do=version][data-to="${CSS.escape(message)}"]`);
    return button?.closest(".turn") ?? document.getElementById(`m-${message}`)?.closest(".turn");
  }

  // One comparison as the server has it now, by whoever asked last; where a reader looks and what they type stays.
  async #renew(comparison) {
    const id = `board-${comparison}`;
    if (!document.getElementById(id)) return;
    const number = (this.#renewals.get(id) ?? 0) + 1;
    this.#renewals.set(id, number);
    const body = new URLSearchParams({ message: "" });
    const missed = [];
    this.#meanwhile.add(missed);
    const response = await fetch(this.dataset.place, { method: "POST", body, headers: { "X-CSRFToken": cookie("csrftoken") } }).catch(() => null);
    const fresh = response?.ok && fragment(await response.text()).querySelector(`#${id}`);
    this.#meanwhile.delete(missed);
    if (number !== this.#renewals.get(id)) return; // a newer one is on its way
    const old = document.getElementById(id);
    if (!fresh || !old) return this.reload();
    const at = old.contains(document.activeElement) && document.activeElement;
    for (const lane of old.querySelectorAll(".lane")) this.#answers.delete(lane.dataset.run);
    const view = old.querySelector("lane-board").view;
    keepOpen(old, fresh);
    old.replaceWith(fresh);
    fresh.querySelector("lane-board").view = view;
    this.#watchAll(fresh);
    for (const frame of missed) this.apply(frame); // what the page had already is ignored by its number
    if (at) (same(fresh, at) ?? fresh.querySelector(".lane.on") ?? fresh).focus({ preventScroll: true });
    this.dispatchEvent(new Event("renewed"));
  }

  get #list() {
    return this.querySelector("#thread");
  }

  #adopt() {
    this.#answers.clear();
    this.#watchAll(this);
    this.#ends.watch();
  }

  #watchAll(part) {
    const live = part.querySelectorAll(".answer[data-state=running], .answer[data-state=queued]");
    for (const item of live) if (!this.#answers.has(item.dataset.run)) this.#watch(item);
  }

  #watch(item) {
    this.#answers.set(item.dataset.run, new Answer(item));
    this.#clock ||= setInterval(() => this.#answers.forEach((answer) => answer.tick()), 100);
  }

  #started(frame) {
    document.getElementById("empty")?.remove();
    if (this.has(frame.answer)) return this.#again(frame);
    if (!this.#goesOn(frame)) return this.#elsewhere(frame);
    const question = frame.question && (document.getElementById(`q-${frame.client_id}`) ?? document.getElementById(`m-${frame.question.id}`) ?? this.#asked(frame));
    if (question) {
      question.id = `m-${frame.question.id}`;
      question.dataset.message = frame.question.id;
      question.dataset.parent = frame.parent ?? "";
    }
    const item = clone("answer-template");
    Object.assign(item.dataset, { message: frame.answer, run: frame.run, seq: frame.seq });
    item.id = `m-${frame.answer}`;
    this.#list.append(item);
    this.#watch(item);
    item.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
  }

  // A question and its lanes, which the server has drawn.
  #compared(frame) {
    document.getElementById("empty")?.remove();
    const board = fragment(frame.html).firstElementChild;
    if (document.getElementById(board.id)) return;
    if (!this.#goesOn(frame)) return this.#elsewhere(frame);
    const question = document.getElementById(`q-${frame.client_id}`) ?? this.#asked(frame);
    question.id = `m-${frame.question.id}`;
    question.dataset.message = frame.question.id;
    question.dataset.parent = frame.parent ?? "";
    question.after(board);
    this.#watchAll(board);
    board.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
  }

  // It was asked here, or follows the end of what is shown.
  #goesOn({ client_id, parent, question }) {
    if (document.getElementById(`q-${client_id}`)) return true;
    return Boolean(question) && (parent ? this.has(parent) && parent === this.tip : !this.tip);
  }

  // A version of something shown: whether its branch is this person's path, the server knows.
  #elsewhere({ parent, sibling_of }) {
    if (sibling_of ? this.has(sibling_of) : !parent || this.has(parent)) this.reload();
  }

  // An interrupted answer goes on: its text stays and grows.
  #again(frame) {
    const item = document.getElementById(`m-${frame.answer}`);
    if (item.dataset.state === "running" || item.dataset.state === "queued") return;
    if (item.classList.contains("lane")) return this.reload();
    if (Number(item.dataset.seq) > frame.seq) return; // told late: it has gone on, and ended
    const fresh = clone("answer-template");
    Object.assign(fresh.dataset, { message: frame.answer, run: frame.run, seq: frame.seq });
    fresh.id = item.id;
    fresh.querySelector(".closed").append(fragment(frame.closed));
    fresh.querySelector(".tail").textContent = frame.tail;
    fresh.querySelector(".notes").append(...item.querySelector(".notes").childNodes);
    item.replaceWith(fresh);
    this.#watch(fresh);
  }

  #asked({ parent, question }) {
    this.#cutAfter(parent);
    const item = clone("question-template");
    this.#fill(item, question);
    this.#list.append(item);
    return item;
  }

  #settled({ run, seq, answer, html }) {
    if (this.#answers.get(run)?.seq >= seq) return; // how it ended once, before somebody went on with it
    this.#answers.delete(run);
    if (!this.#answers.size) this.#clock = void clearInterval(this.#clock);
    const old = document.getElementById(`m-${answer}`);
    if (!old) return;
    const focused = old.contains(document.activeElement);
    const item = fragment(html).firstElementChild;
    keepOpen(old, item);
    old.replaceWith(item);
    if (focused) item.focus({ preventScroll: true });
    item.closest("lane-board")?.refresh();
    item.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
  }

  // A path goes on from one message, or from none: what stood below it belongs to another version.
  #cutAfter(message) {
    this.querySelector(".end.newer")?.remove();
    const last = message && document.getElementById(`m-${message}`)?.closest(".turn");
    if (message && !last) return;
    const items = [...this.#list.children];
    for (const item of items.slice(last ? items.indexOf(last) + 1 : 0)) item.remove();
  }

  #fill(item, { text, images, author }) {
    if (author) item.querySelector(".by").textContent = author;
    const ask = item.querySelector(".ask");
    ask.textContent = text;
    ask.classList.toggle("long", text.length > 300);
    const time = item.querySelector("time");
    time.textContent = new Date().toTimeString().slice(0, 5);
    const row = item.querySelector(".images");
    row.hidden = !images?.length;
    row.append(...(images ?? []).map((url) => Object.assign(new Image(), { src: url, alt: "Attached picture" })));
  }

  #clicked(event) {
    const chip = event.target.closest(".cite[data-passage]");
    if (chip) return this.#openPassage(event, chip);
    const button = event.target.closest("[data-do]");
    if (!button) return;
    const item = button.closest(".lane, .turn");
    const detail = { action: button.dataset.do, item, to: button.dataset.to };
    this.dispatchEvent(new CustomEvent("do", { bubbles: true, detail }));
  }

  #openPassage(event, chip) {
    event.preventDefault();
    const cards = chip.closest(".turn").querySelectorAll(`.notes [data-passage="${chip.dataset.passage}"] a, .narrow-notes [data-passage="${chip.dataset.passage}"]`);
    const link = [...cards].find((card) => card.href);
    if (link) open(link.href, "_blank", "noopener");
  }

  #light(event) {
    const chip = event.target.closest?.("[data-passage]");
    for (const lit of this.querySelectorAll("[data-passage].on")) lit.classList.remove("on");
    if (!chip) return;
    for (const one of chip.closest(".turn").querySelectorAll(`[data-passage="${chip.dataset.passage}"]`)) one.classList.add("on");
  }
}

// What a reader has opened stays open in the part that was drawn anew.
function keepOpen(old, part) {
  for (const one of old.querySelectorAll("details[open]")) {
    const id = one.closest(".lane, .turn")?.id;
    const place = !id || part.id === id ? part : part.querySelector(`#${CSS.escape(id)}`);
    const again = [...(place?.querySelectorAll("details") ?? [])].find(({ className }) => className === one.className);
    if (again) again.open = true;
  }
}

// What stands in a part that was drawn anew where this control stood in the old.
function same(part, control) {
  const by = control.value && control.name ? `[name="${control.name}"][value="${CSS.escape(control.value)}"]` : control.id && `#${CSS.escape(control.id)}`;
  return by ? part.querySelector(by) : null;
}

function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}
