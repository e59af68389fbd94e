// <lane-board>: the lanes of one comparison. Tabs and arrows move between them, a choice is kept while the board is
// drawn anew. It says "ask" with what is wanted of the lanes that are chosen in its table.

import { cookie } from "./cookie.js";

const choices = new Map(); // comparison -> {choice, reasons}, until it is voted

export class LaneBoard extends HTMLElement {
  connectedCallback() {
    this.#item.dataset.at ||= this.#lanes[0].dataset.message;
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("change", (event) => this.#changed(event));
    this.addEventListener("submit", (event) => this.#submit(event));
    this.addEventListener("keydown", (event) => this.#key(event));
    this.#swiped = new IntersectionObserver((seen) => this.#seen(seen), { root: this.querySelector(".lanes"), threshold: 0.6 });
    for (const lane of this.#lanes) this.#swiped.observe(lane);
    this.#restore();
    this.#show();
  }

  disconnectedCallback() {
    this.#swiped?.disconnect();
  }

  #swiped;

  // The best lane by its number, "tie" or "bad".
  choose(what) {
    const radio = typeof what === "number" ? this.#radios[what - 1] : this.#radios.find(({ value }) => value === what);
    if (!radio || (typeof what === "number" && !radio.dataset.letter)) return;
    radio.checked = true;
    radio.focus({ preventScroll: true });
    this.#changed({ target: radio });
  }

  vote() {
    const form = this.#form;
    if (form && !form.querySelector(".primary").disabled) form.requestSubmit();
  }

  move(by) {
    const lanes = this.#lanes;
    const at = lanes.findIndex((lane) => lane.dataset.message === this.#item.dataset.at);
    this.#select(lanes[Math.max(0, Math.min(lanes.length - 1, at + by))], true);
  }

  // A lane has ended: what can be voted on may have changed.
  refresh() {
    for (const lane of this.#lanes) this.#swiped.observe(lane);
    this.#show();
  }

  get #item() {
    return this.closest(".board");
  }

  get #lanes() {
    return [...this.querySelectorAll(".lane")];
  }

  get #form() {
    return this.querySelector("form.vote");
  }

  get #radios() {
    return [...(this.#form?.elements.choice ?? [])];
  }

  get #kept() {
    return [...this.querySelectorAll("input[name=lane]:checked")];
  }

  #select(lane, focus = false) {
    this.#item.dataset.at = lane.dataset.message;
    this.#show();
    const row = this.querySelector(".lanes");
    row.scrollTo({ left: lane.offsetLeft - row.offsetLeft, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth" });
    if (focus) lane.focus({ preventScroll: true });
  }

  #seen(entries) {
    if (!matchMedia("(width < 48rem)").matches) return; // beside each other, none is the one that is looked at
    const entry = entries.find(({ isIntersecting }) => isIntersecting);
    if (!entry) return;
    this.#item.dataset.at = entry.target.dataset.message;
    this.#show();
  }

  #show() {
    const { at } = this.#item.dataset;
    for (const tab of this.querySelectorAll("[role=tab]")) {
      const on = tab.getAttribute("aria-controls") === `m-${at}`;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      const lane = document.getElementById(tab.getAttribute("aria-controls"));
      const live = tab.querySelector(".live");
      if (live) live.hidden = !["running", "queued"].includes(lane?.dataset.state);
    }
    for (const lane of this.#lanes) lane.classList.toggle("on", lane.dataset.message === at);
    this.#ready();
  }

  // A vote waits for every lane, and says for which.
  #ready() {
    if (!this.#form) return;
    const waits = this.#lanes.filter(({ dataset }) => ["running", "queued", "interrupted"].includes(dataset.state)).map(({ dataset }) => dataset.letter);
    const chosen = this.#radios.find(({ checked }) => checked);
    const button = this.#form.querySelector(".primary");
    button.disabled = !chosen || waits.length > 0;
    const what = chosen && (chosen.dataset.letter ? `${chosen.dataset.letter} is chosen.` : chosen.value === "tie" ? "A tie is chosen." : "All bad is chosen.");
    const hint = this.#form.querySelector(".hint");
    if (waits.length) hint.textContent = `${what ? `${what} It` : "A vote"} counts when ${waits.join(", ")} ${waits.length > 1 ? "have" : "has"} finished; you can stop ${waits.length > 1 ? "them" : "it"} first.`;
    else if (what) hint.textContent = what;
    for (const radio of this.#radios) radio.parentElement.classList.toggle("on", radio.checked);
    for (const box of this.#form.querySelectorAll("input[type=checkbox]")) box.parentElement.classList.toggle("on", box.checked);
  }

  #changed({ target }) {
    if (target.form === this.#form && this.#form) {
      choices.set(this.#item.dataset.comparison, { choice: this.#form.elements.choice.value, reasons: [...new FormData(this.#form).getAll("reason")] });
      this.#ready();
    }
    if (target.name === "lane") {
      const count = this.#kept.length;
      this.querySelector("[data-do=lanes-on]").disabled = count < 1;
      this.querySelector("[data-do=lanes-fuse]").disabled = count < 2;
      this.querySelector("[data-do=lanes-diff]").disabled = count !== 2;
    }
  }

  #restore() {
    const kept = this.#form && choices.get(this.#item.dataset.comparison);
    if (!kept) return;
    this.#form.elements.choice.value = kept.choice;
    for (const box of this.#form.querySelectorAll("input[type=checkbox]")) box.checked = kept.reasons.includes(box.value);
  }

  #clicked(event) {
    const button = event.target.closest("[data-do]");
    switch (button?.dataset.do) {
      case "lane-tab":
        return this.#select(this.#lanes.find(({ dataset }) => dataset.letter === button.dataset.letter));
      case "thumb":
        event.stopPropagation();
        return this.#thumb(button);
      case "lanes-fuse":
        this.querySelector("form.fuse").hidden = false;
        return this.querySelector("form.fuse textarea").focus();
      case "lanes-on":
      case "lanes-diff":
        return this.#ask(button.dataset.do);
    }
  }

  #ask(action, instruction = "") {
    const lanes = this.#kept.map(({ value, dataset }) => ({ message: value, model: dataset.model, letter: dataset.letter }));
    this.dispatchEvent(new CustomEvent("ask", { bubbles: true, detail: { action, lanes, instruction, comparison: this.#item.dataset.comparison } }));
  }

  async #submit(event) {
    event.preventDefault();
    const form = event.target;
    if (form.matches(".fuse")) return this.#ask("lanes-fuse", form.elements.instruction.value);
    const body = new URLSearchParams(new FormData(form));
    const response = await this.#post(event.submitter?.dataset.reveal !== undefined ? event.submitter.formAction : form.action, body);
    if (response) choices.delete(this.#item.dataset.comparison);
  }

  async #thumb(button) {
    const lane = button.closest(".lane");
    const chat = document.body.dataset.chat;
    const done = await this.#post(`/c/${chat}/lanes/${lane.dataset.message}/thumb/`, new URLSearchParams({ up: button.dataset.up }));
    if (!done) return;
    const on = button.getAttribute("aria-pressed") !== "true";
    for (const other of lane.querySelectorAll("[data-do=thumb]")) other.setAttribute("aria-pressed", String(other === button && on));
  }

  // The board is drawn anew when the server tells that it has changed.
  async #post(address, body) {
    try {
      const response = await fetch(address, { method: "POST", body, headers: { "X-CSRFToken": cookie("csrftoken") } });
      if (response.ok) return true;
      const { cause, action } = await response.json().catch(() => ({ cause: "The server refused it.", action: "Reload the page." }));
      this.#complain(`${cause} ${action}`);
    } catch {
      this.#complain("The server can't be reached. Try again in a moment.");
    }
    return false;
  }

  #complain(words) {
    this.dispatchEvent(new CustomEvent("complaint", { bubbles: true, detail: words }));
  }

  #key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.target.closest("input:not([type=radio]), textarea")) return;
    event.preventDefault();
    this.move(by);
  }
}
