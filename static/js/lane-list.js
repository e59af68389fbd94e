// <lane-list>: the models a question goes to at once. With two or more, sending compares them. It lasts as long as the tab.

import { asked, laneChip } from "./lane-chip.js";

const KEPT = "lanes";
const MOST = 8;

export class LaneList extends HTMLElement {
  #lanes = []; // as lane-chip.js has them

  connectedCallback() {
    this.#blindButton.addEventListener("click", () => { this.blind = !this.blind; });
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    if (kept) this.set(kept.lanes, kept.blind);
  }

  get isOn() {
    return this.#lanes.length > 1;
  }

  get count() {
    return this.#lanes.length;
  }

  get blind() {
    return this.#blindButton.getAttribute("aria-pressed") === "true";
  }

  set blind(blind) {
    this.#blindButton.setAttribute("aria-pressed", String(blind));
    this.#keep();
  }

  // As the frame has them. Where lanes go on from answers of their own, the next question goes on from one again.
  take() {
    const lanes = this.#lanes.map(asked);
    for (const lane of this.#lanes) delete lane.parent;
    this.#keep();
    return lanes;
  }

  set(lanes, blind = this.blind) {
    this.#lanes = lanes.slice(0, MOST).map((lane) => ({ ...lane }));
    this.blind = blind;
    this.#draw();
  }

  // A model is a lane or not; with ``again``, it is one more lane.
  toggle(lane, again = false) {
    const at = again ? -1 : this.#lanes.findIndex(({ model }) => model === lane.model);
    if (at >= 0) this.#lanes.splice(at, 1);
    else if (this.#lanes.length < MOST) this.#lanes.push({ ...lane });
    this.#draw();
  }

  has(model) {
    return this.#lanes.some((lane) => lane.model === model);
  }

  get #blindButton() {
    return this.querySelector("[data-do=blind]");
  }

  #keep() {
    const lanes = this.#lanes.map(({ parent, ...lane }) => lane);
    sessionStorage.setItem(KEPT, JSON.stringify({ lanes, blind: this.blind }));
  }

  #draw() {
    this.hidden = !this.#lanes.length;
    this.#blindButton.hidden = !this.isOn;
    this.querySelector("ul").replaceChildren(...this.#lanes.map((lane) => this.#chip(lane)));
    this.#keep();
    this.dispatchEvent(new Event("lanes", { bubbles: true }));
  }

  #chip(lane) {
    const remove = () => {
      this.#lanes.splice(this.#lanes.indexOf(lane), 1);
      this.#draw();
    };
    return laneChip(lane, { changed: () => this.#keep(), again: () => this.#again(lane), remove });
  }

  // The same model beside itself, with settings of its own to change.
  #again(lane) {
    if (this.#lanes.length >= MOST) return;
    const at = this.#lanes.indexOf(lane) + 1;
    this.#lanes.splice(at, 0, { ...lane });
    this.#draw();
    const settings = this.querySelectorAll("details")[at];
    settings.open = true;
    settings.querySelector("input").focus();
  }
}
