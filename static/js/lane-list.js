// <lane-list>: the models a question goes to at once. With two or more, sending compares them. It lasts as long as the tab.

const KEPT = "lanes";
const MOST = 8;

export class LaneList extends HTMLElement {
  #lanes = []; // {model, name, shape (SVG), parent, temperature, top_p, max_tokens, system, configuration}

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
    chip.querySelector("[data-again]").addEventListener("click", () => this.#again(lane));
    chip.querySelector("[data-routed]")?.toggleAttribute("hidden", Boolean(lane.model));
    for (const field of chip.querySelectorAll("input, textarea, select")) this.#tune(chip, lane, field);
    this.#tell(chip, lane);
    return chip;
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

  #tune(chip, lane, field) {
    field.value = lane[field.name] ?? "";
    field.addEventListener("input", () => {
      const isNumber = field.type === "number" || ["configuration", "persona"].includes(field.name);
      if (field.value.trim()) lane[field.name] = isNumber ? Number(field.value) : field.value;
      else delete lane[field.name];
      this.#tell(chip, lane);
      this.#keep();
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && field.type === "number") event.preventDefault();
      if (event.key !== "Escape") return;
      event.stopPropagation();
      field.closest("details").open = false;
      field.closest("details").querySelector("summary").focus();
    });
  }

  // What makes this lane differ, on its chip.
  #tell(chip, lane) {
    const version = chip.querySelector("[name=configuration]")?.selectedOptions[0];
    const persona = chip.querySelector("[name=persona]")?.selectedOptions[0];
    const told = [
      lane.temperature !== undefined && `t ${lane.temperature}`,
      lane.top_p !== undefined && `p ${lane.top_p}`,
      lane.max_tokens !== undefined && `≤ ${lane.max_tokens}`,
      persona?.value && persona.textContent,
      lane.system && "own instruction",
      version?.value && version.textContent,
    ].filter(Boolean);
    chip.querySelector(".set").textContent = told.join(" · ");
    chip.classList.toggle("tuned", told.length > 0);
  }
}
