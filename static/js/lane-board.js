// <lane-board>: the lanes of one comparison. Tabs and arrows move between them, a choice is kept while the board is
// drawn anew. It says "ask" with what is wanted of the lanes that are chosen in its table.

import { cookie } from "./cookie.js";
import { asked, isRight, laneChip } from "./lane-chip.js";

const choices = new Map(); // comparison -> {choice, reasons}, until it is voted
const joining = new Map(); // comparison -> the lane that is to join it, until it is sent

const STILL = 120; // ms without a scroll, and a swipe is over
const narrow = () => matchMedia("(width < 48rem)").matches;

export class LaneBoard extends HTMLElement {
  connectedCallback() {
    this.#item.dataset.at ||= this.#lanes[0].dataset.message;
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("change", (event) => this.#changed(event));
    this.addEventListener("submit", (event) => this.#submit(event));
    this.addEventListener("keydown", (event) => this.#key(event));
    this.#swiped = new IntersectionObserver((seen) => this.#seen(seen), { root: this.#row, threshold: 0.6 });
    this.#sized = new ResizeObserver((seen) => {
      if (narrow() && seen.some(({ target }) => target === this.#row)) this.#keepInView(); // a phone that is turned
      this.#fit();
    });
    this.#sized.observe(this.#row);
    this.#row.addEventListener("scroll", () => this.#scrolled());
    this.#watch();
    this.#restore();
    this.#offer();
    this.#join();
    this.#show();
  }

  disconnectedCallback() {
    this.#swiped?.disconnect();
    this.#sized?.disconnect();
  }

  #swiped;
  #sized;

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
    this.#watch();
    this.#show();
  }

  #watch() {
    for (const lane of this.#lanes) for (const observer of [this.#swiped, this.#sized]) observer.observe(lane);
  }

  // A row that changes its height under a swipe would snap back.
  #scrolled() {
    clearTimeout(this.#swipe);
    this.#swipe = setTimeout(() => {
      this.#swipe = 0;
      this.#fit();
    }, STILL);
  }

  #swipe = 0;

  // On a phone the row is as high as the lane that is looked at. Where lanes have no room side by side, tabs lead to them.
  #fit() {
    const row = this.#row;
    if (this.#swipe || !row) return;
    const on = narrow() && !this.#item.matches(".past") && this.querySelector(".lane.on");
    row.style.blockSize = on ? `${on.offsetHeight + row.offsetHeight - row.clientHeight}px` : "";
    this.classList.toggle("scrolls", row.scrollWidth > row.clientWidth + 1);
  }

  // The lane that is looked at, and how far the row of lanes is scrolled: what stays when the board is drawn anew.
  get view() {
    return { letter: this.querySelector(".lane.on")?.dataset.letter, left: this.#row.scrollLeft };
  }

  set view({ letter, left }) {
    const lane = this.#lanes.find(({ dataset }) => dataset.letter === letter);
    if (!lane) return;
    this.#item.dataset.at = lane.dataset.message;
    if (!narrow()) this.#row.scrollTo({ left, behavior: "instant" });
    this.#show();
    if (narrow()) this.#keepInView();
  }

  #keepInView() {
    const lane = this.querySelector(".lane.on");
    const left = lane ? lane.offsetLeft - this.#row.offsetLeft : 0;
    if (left !== this.#row.scrollLeft && this.#row.clientWidth !== this.#width) this.#row.scrollTo({ left, behavior: "instant" });
    this.#width = this.#row.clientWidth;
  }

  #width = 0;

  get #row() {
    return this.querySelector(".lanes");
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
    this.#row.scrollTo({ left: lane.offsetLeft - this.#row.offsetLeft, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth" });
    if (focus) lane.focus({ preventScroll: true });
  }

  #seen(entries) {
    if (!narrow()) return; // beside each other, none is the one that is looked at
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
    this.#fit();
    this.#ready();
  }

  // A vote waits for every lane, and says for which.
  #ready() {
    if (!this.#form) return;
    const waits = this.#lanes.filter(({ dataset }) => ["running", "queued", "interrupted"].includes(dataset.state)).map(({ dataset }) => dataset.letter);
    const chosen = this.#radios.find(({ checked }) => checked);
    const button = this.#form.querySelector(".primary");
    const isCast = this.#isCast;
    button.disabled = !chosen || isCast || waits.length > 0;
    button.querySelector("span").textContent = isCast ? "Voted" : !chosen ? "Vote" : chosen.dataset.letter ? `Vote for ${chosen.dataset.letter}` : chosen.value === "tie" ? "Vote for a tie" : "Vote all bad";
    for (const lane of this.#lanes) lane.classList.toggle("chosen", lane.dataset.message === chosen?.value);
    for (const label of this.#form.querySelectorAll("label[data-letter]")) label.classList.toggle("waits", waits.includes(label.dataset.letter));
    const what = chosen && (chosen.dataset.letter ? `${chosen.dataset.letter} is chosen.` : chosen.value === "tie" ? "A tie is chosen." : "All bad is chosen.");
    const hint = this.#form.querySelector(".hint");
    if (waits.length) hint.textContent = `${what ? `${what} It` : "A vote"} counts when ${waits.join(", ")} ${waits.length > 1 ? "have" : "has"} finished; you can stop ${waits.length > 1 ? "them" : "it"} first.`;
    else if (isCast) hint.textContent = this.#form.dataset.said;
    else if (what) hint.textContent = what;
    for (const radio of this.#radios) radio.parentElement.classList.toggle("on", radio.checked);
    for (const box of this.#form.querySelectorAll("input[type=checkbox]")) box.parentElement.classList.toggle("on", box.checked);
  }

  // Whether what is chosen is what was voted.
  get #isCast() {
    const inputs = [...this.#form.elements].filter(({ type }) => ["radio", "checkbox"].includes(type));
    return Boolean(this.#form.dataset.said) && inputs.every(({ checked, defaultChecked }) => checked === defaultChecked);
  }

  #changed({ target }) {
    if (target.form === this.#form && this.#form) {
      choices.set(this.#item.dataset.comparison, { choice: this.#form.elements.choice.value, reasons: [...new FormData(this.#form).getAll("reason")] });
      this.#ready();
    }
    if (target.name === "because") this.#because(target.closest(".because"));
    if (target.name === "lane") this.#offer();
  }

  // The buttons below the table say what they would do with the lanes that are chosen in it.
  #offer() {
    const on = this.querySelector("[data-do=lanes-on]");
    if (!on) return;
    const kept = this.#kept;
    on.disabled = !kept.length;
    on.textContent = kept.length ? `Continue from ${letters(kept)}` : "Continue from a lane";
    this.querySelector("[data-do=lanes-fuse]").textContent = kept.length > 1 ? `Fuse ${letters(kept)}` : "Fuse all lanes";
    this.querySelector(".fuse .which").textContent = `One answer from ${letters(this.#fused)}.`;
    const pair = this.#pair;
    const diff = this.querySelector("[data-do=lanes-diff]");
    diff.disabled = !pair;
    diff.textContent = pair ? `Diff ${letters(pair)}` : "Diff two lanes";
  }

  get #boxes() {
    return [...this.querySelectorAll("input[name=lane]")];
  }

  get #fused() {
    return this.#kept.length > 1 ? this.#kept : this.#boxes;
  }

  // The two that are chosen, or the chosen and the first beside it.
  get #pair() {
    const kept = this.#kept;
    if (kept.length > 2) return null;
    const rest = this.#boxes.filter((box) => !kept.includes(box));
    return [...kept, ...rest].slice(0, 2);
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
      case "lane-add":
      case "lane-add-other":
        return this.add();
      case "lane-add-close":
        joining.delete(this.#item.dataset.comparison);
        this.#join();
        return this.#adder.focus();
      case "lanes-fuse":
        return this.#openFuse();
      case "fuse-close":
        this.querySelector("form.fuse").hidden = true;
        return this.querySelector("[data-do=lanes-fuse]").focus();
      case "lanes-on":
        if (this.#kept.length === 1) this.#select(this.#lanes.find(({ dataset }) => dataset.message === this.#kept[0].value)); // now: who asks at once, asks there
        return this.#ask(button.dataset.do, this.#kept);
      case "lanes-diff":
        return this.#ask(button.dataset.do, this.#pair);
    }
  }

  // Another lane joins, where one may: its model is picked as any other, and given what any lane may be given.
  add() {
    if (!this.#adder) return;
    const { comparison } = this.#item.dataset;
    const picker = document.querySelector("model-picker");
    picker.open((model) => {
      joining.set(comparison, picker.lane(model));
      const board = document.querySelector(`#board-${comparison} lane-board`); // which may have been drawn anew
      board?.#join();
      board?.#joins?.querySelector(".primary").focus();
    }, "Model of one more lane");
  }

  get #adder() {
    return this.querySelector(".alike [data-do=lane-add]");
  }

  get #joins() {
    return this.querySelector("form.add-lane");
  }

  #join() {
    if (!this.#joins) return;
    const lane = joining.get(this.#item.dataset.comparison);
    this.#joins.hidden = !lane;
    this.#joins.querySelector("ul").replaceChildren(...(lane ? [laneChip(lane)] : []));
    this.#adder.setAttribute("aria-expanded", String(Boolean(lane)));
  }

  #openFuse() {
    const form = this.querySelector("form.fuse");
    offerModels(form.elements.model);
    form.hidden = false;
    form.elements.instruction.focus();
    form.scrollIntoView({ block: "nearest" });
  }

  #ask(action, boxes, more = {}) {
    const lanes = boxes.map(({ value, dataset }) => ({ message: value, model: dataset.model, asked: JSON.parse(dataset.asked ?? "{}") }));
    this.dispatchEvent(new CustomEvent("ask", { bubbles: true, detail: { action, lanes, ...more, comparison: this.#item.dataset.comparison } }));
  }

  async #submit(event) {
    event.preventDefault();
    const form = event.target;
    if (form.matches(".add-lane")) return this.#sendLane(form);
    if (form.matches(".fuse")) return this.#ask("lanes-fuse", this.#fused, { instruction: form.elements.instruction.value, model: form.elements.model.value });
    const body = new URLSearchParams(new FormData(form));
    const response = await this.#post(event.submitter?.dataset.reveal !== undefined ? event.submitter.formAction : form.action, body);
    if (response) choices.delete(this.#item.dataset.comparison);
  }

  #sendLane(form) {
    const { comparison } = this.#item.dataset;
    if (!isRight(form)) return;
    this.#ask("lane-add", [], { lane: asked(joining.get(comparison)) });
    joining.delete(comparison);
    this.#join();
  }

  #thumb(button) {
    return this.#rate(button.closest(".lane"), new URLSearchParams({ up: button.dataset.up }));
  }

  // Why a lane is liked or not.
  #because(fieldset) {
    const body = new URLSearchParams({ up: fieldset.dataset.up, why: "1" });
    for (const box of fieldset.querySelectorAll(":checked")) body.append("reason", box.value);
    return this.#rate(fieldset.closest(".lane"), body);
  }

  #rate(lane, body) {
    return this.#post(`/c/${document.body.dataset.chat}/lanes/${lane.dataset.message}/thumb/`, body);
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
    if (!by || event.target.closest("input:not([type=radio]), textarea, select")) return;
    event.preventDefault();
    this.move(by);
  }
}

// The models that the picker offers.
function offerModels(select) {
  const models = document.querySelectorAll("model-picker [role=option]");
  const chosen = document.querySelector("model-picker")?.model;
  select.replaceChildren(...[...models].map(({ dataset }) => new Option(dataset.model || "the router's choice", dataset.model, false, dataset.model === chosen)));
}

// "A", "A and B", "A, B and C"
function letters(boxes) {
  const names = boxes.map(({ dataset }) => dataset.letter);
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
