// <lane-list>: the models a question goes to at once. With two or more, sending compares them. It lasts as long as the tab.

const KEPT = "lanes";
const MOST = 8;

export class LaneList extends HTMLElement {
  #lanes = []; // {model, name, shape (SVG), parent, temperature, max_tokens, system}

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
    const lanes = this.#lanes.map(({ name, shape, ...asked }) => asked);
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
    const chip = document.getElementById("lane-template").content.firstElementChild.cloneNode(true);
    chip.querySelector(".name").textContent = lane.name;
    chip.querySelector(".shape").innerHTML = lane.shape; // drawn by the server, for the picker
    chip.querySelector("[data-remove]").addEventListener("click", () => {
      this.#lanes.splice(this.#lanes.indexOf(lane), 1);
      this.#draw();
    });
    const tuned = () => chip.classList.toggle("tuned", lane.temperature !== undefined || lane.max_tokens !== undefined || Boolean(lane.system) || Boolean(lane.persona));
    for (const field of chip.querySelectorAll("input, textarea, select")) {
      field.value = lane[field.name] ?? "";
      field.addEventListener("input", () => {
        if (field.value.trim()) lane[field.name] = field.type === "number" || field.name === "persona" ? Number(field.value) : field.value;
        else delete lane[field.name];
        tuned();
        this.#keep();
      });
      field.addEventListener("keydown", (event) => { if (event.key === "Enter" && field.type === "number") event.preventDefault(); });
    }
    tuned();
    return chip;
  }
}
