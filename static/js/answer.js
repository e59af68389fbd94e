// One answer being written: applies its run's frames to its <li>. Frames are numbered, so a repeat is ignored.

import { TELL } from "./wire.js";

export class Answer {
  #item;
  #tail;
  #closed;
  #waiting = ""; // text that came since the last frame was painted
  #paint = 0;

  constructor(item) {
    this.#item = item;
    this.#tail = item.querySelector(".tail");
    this.#closed = item.querySelector(".closed");
    this.began = performance.now();
    this.characters = this.#tail?.textContent.length ?? 0;
  }

  get seq() {
    return Number(this.#item.dataset.seq ?? 0);
  }

  apply(frame) {
    if (frame.seq <= this.seq) return;
    this.#item.dataset.seq = frame.seq;
    switch (frame.type) {
      case TELL.DELTA:
        return this.#append(frame.text);
      case TELL.BLOCK:
        return this.#close(frame);
      case TELL.REASONING:
        return this.#reason(frame.text);
      case TELL.STEP:
      case TELL.FAILING:
        return this.#say(frame.text);
      case TELL.DECISION:
        return this.#decide(frame);
      case TELL.EVIDENCE:
        return this.#ground(frame.html);
    }
  }

  tick() {
    const clock = this.#item.querySelector(".clock");
    if (!clock) return;
    const spent = (performance.now() - this.began) / 1000;
    clock.textContent = `${spent.toFixed(1)} s`;
    if (this.#item.matches(".lane:not(.blind)")) this.#measure(spent);
  }

  // Of a lane, its figures so far: about four characters are a token. A blind one tells nothing of them.
  #measure(spent) {
    const tell = (name, words) => { const place = this.#item.querySelector(`[data-live=${name}]`); if (place && place.textContent !== words) place.textContent = words; };
    if (!this.first) return;
    const waited = (this.first - this.began) / 1000;
    const tokens = Math.max(1, Math.round(this.characters / 4));
    tell("first", `${waited.toFixed(2)} s to first`);
    if (spent - waited > 0.2) tell("rate", `≈ ${Math.round(tokens / (spent - waited))} tok/s`);
    tell("tokens", `≈ ${tokens} tok`);
    const { price } = this.#item.querySelector("[data-live=cost]")?.dataset ?? {};
    const cost = (tokens * price) / 1e6;
    if (price) tell("cost", cost && cost < 0.0001 ? "<$0.0001" : `≈ $${cost.toFixed(4)}`);
    const cited = this.#cited();
    if (cited) tell("cited", `${cited} cited`);
  }

  #cited() {
    const numbers = new Set([...this.#closed.querySelectorAll(".cite")].map(({ dataset }) => dataset.passage));
    const shown = this.#item.closest(".board")?.querySelectorAll(".gathered [data-passage]").length ?? 0;
    for (const [, number] of this.#tail.textContent.matchAll(/\[(\d{1,3})\]/g)) if (Number(number) <= shown) numbers.add(number);
    return numbers.size;
  }

  // Text is joined until the next picture is painted: a fast model must not cost a layout for each token.
  #append(text) {
    if (!this.characters) this.#say("writing");
    this.first ??= performance.now();
    this.characters += text.length;
    this.#waiting += text;
    this.#paint ||= requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    this.#paint = 0;
    if (!this.#waiting) return;
    this.#tail.append(this.#waiting);
    this.#waiting = "";
    this.#grown();
  }

  #close({ html, tail }) {
    this.#waiting = "";
    if (!this.characters) this.#say("writing");
    this.characters += tail.length + 1;
    this.#closed.append(fragment(html));
    this.#tail.textContent = tail;
    this.#grown();
  }

  #reason(text) {
    this.first ??= performance.now();
    const details = this.#item.querySelector(".reasoning");
    details.hidden = false;
    details.querySelector("p").append(text);
    this.#say("reasoning");
    this.#grown();
  }

  #say(text) {
    const doing = this.#item.querySelector(".doing");
    const where = this.#item.dataset.mode === "background" ? "in the background, " : "";
    if (doing) doing.textContent = where + text;
  }

  #decide({ model, mark, mode, price }) {
    this.#item.dataset.mode = mode;
    const cost = this.#item.querySelector("[data-live=cost]");
    if (cost) cost.dataset.price = price ?? "";
    const name = this.#item.querySelector(".who .name");
    if (name) name.textContent = model;
    const tab = `[aria-controls="${this.#item.id}"] .mark`; // of a lane
    for (const old of document.querySelectorAll(`#${this.#item.id} :is(.node, .who) .mark, ${tab}`)) {
      const shape = document.getElementById(`mark-${mark % 16}`);
      if (shape) old.replaceWith(shape.content.cloneNode(true));
    }
    this.#item.dataset.model = model;
  }

  #ground(html) {
    const notes = this.#item.querySelector(".notes") ?? this.#item.closest(".board")?.querySelector(".notes");
    notes?.replaceChildren(fragment(html));
  }

  #grown() {
    this.#item.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
  }
}

// HTML from our own server, whose renderer has sanitised it.
export function fragment(html) {
  return document.createRange().createContextualFragment(html);
}
