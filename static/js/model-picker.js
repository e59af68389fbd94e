// <model-picker>: which model takes the next message. Models that can't take it stay listed, with the reason.

const FOR = "Model for this message";

export class ModelPicker extends HTMLElement {
  #button;
  #panel;
  #field;
  #once = null; // called with the next choice, instead of keeping it

  connectedCallback() {
    this.#button = this.querySelector("button.chosen");
    this.#panel = this.querySelector(".picker");
    this.#field = this.#panel.querySelector("input");
    this.#button.addEventListener("click", () => (this.#panel.hidden ? this.open() : this.close()));
    this.#field.addEventListener("input", () => this.#filter());
    this.#panel.addEventListener("keydown", (event) => this.#key(event));
    this.#panel.addEventListener("click", (event) => this.#choose(event.target.closest("[role=option]")));
    document.addEventListener("pointerdown", (event) => this.contains(event.target) || this.close());
    this.#show(this.#options.find((option) => option.dataset.model === localStorage.getItem("model")) ?? this.#options[0]);
  }

  get model() {
    return this.querySelector("[aria-selected=true]")?.dataset.model ?? "";
  }

  // The model of the next messages, until this tab's reader picks another or leaves.
  use(model) {
    this.#show(this.#options.find((option) => option.dataset.model === model) ?? this.#options[0]);
  }

  // Open the list. With ``once``, one is chosen for that alone, and ``words`` say for what.
  open(once = null, words = FOR) {
    this.#once = once;
    this.#field.placeholder = this.querySelector(".q .vh").textContent = words;
    this.querySelector(".many").hidden = Boolean(once);
    this.#panel.hidden = false;
    this.#button.setAttribute("aria-expanded", "true");
    this.#field.value = "";
    this.#filter();
    this.#mark(this.querySelector("[aria-selected=true]"));
    this.#field.focus();
  }

  close() {
    if (this.#panel.hidden) return;
    const inside = this.#panel.contains(document.activeElement);
    this.#panel.hidden = true;
    this.#once = null;
    this.#button.setAttribute("aria-expanded", "false");
    if (inside) this.dispatchEvent(new Event("closed", { bubbles: true }));
  }

  get #isForSeveral() {
    return this.querySelector("[data-many]").checked;
  }

  openForSeveral() {
    this.querySelector("[data-many]").checked = true;
    this.open();
  }

  // A model as a lane of a comparison.
  lane(model) {
    const option = this.#options.find((one) => one.dataset.model === model) ?? this.#options[0];
    return { model: option.dataset.model, name: option.dataset.name, shape: option.querySelector("svg").outerHTML };
  }

  // Show which models are lanes.
  mark(lanes) {
    for (const option of this.#options) option.classList.toggle("lane-of", lanes.has(option.dataset.model));
    if (!lanes.count) this.querySelector("[data-many]").checked = false;
    this.#button.querySelector(".name").textContent = lanes.isOn ? `${lanes.count} lanes` : this.querySelector("[aria-selected=true]").dataset.name;
  }

  // What the message needs decides who can take it.
  need({ images }) {
    for (const option of this.#options) {
      const unfit = images && option.dataset.model && !("images" in option.dataset);
      option.toggleAttribute("data-unfit", Boolean(unfit));
      option.setAttribute("aria-disabled", String(Boolean(unfit)));
      const words = option.querySelector("[data-about]");
      if (words) words.textContent = unfit ? `${option.dataset.name} takes no images` : words.dataset.about;
    }
  }

  get #options() {
    return [...this.querySelectorAll("[role=option]")];
  }

  get #visible() {
    return this.#options.filter((option) => !option.hidden);
  }

  #filter() {
    const wanted = this.#field.value.trim().toLowerCase();
    for (const option of this.#options) option.hidden = !option.textContent.toLowerCase().includes(wanted);
    this.#mark(this.#visible[0]);
  }

  #mark(option) {
    for (const other of this.#options) other.classList.toggle("at", other === option);
    option?.scrollIntoView({ block: "nearest" });
    option ? (option.id ||= `o-${option.dataset.name}`) && this.#field.setAttribute("aria-activedescendant", option.id) : this.#field.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    const at = this.#visible.findIndex((option) => option.classList.contains("at"));
    if (event.key === "ArrowDown") this.#mark(this.#visible[Math.min(at + 1, this.#visible.length - 1)]);
    else if (event.key === "ArrowUp") this.#mark(this.#visible[Math.max(at - 1, 0)]);
    else if (event.key === "Enter") this.#choose(this.#visible[at]);
    else if (event.key === " " && event.target === this.#field && !this.#field.value && !this.#once && this.#visible[at]) this.#offer(this.#visible[at]);
    else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #choose(option) {
    if (!option || option.hasAttribute("data-unfit")) return;
    if (this.#isForSeveral && !this.#once) return this.#offer(option);
    const once = this.#once;
    if (once) {
      this.close();
      return once(option.dataset.model);
    }
    this.#show(option);
    localStorage.setItem("model", option.dataset.model);
    this.close();
  }

  // One more lane, or one less; the list stays open for the next.
  #offer(option) {
    if (option.hasAttribute("data-unfit")) return;
    this.querySelector("[data-many]").checked = true;
    this.dispatchEvent(new CustomEvent("lane", { bubbles: true, detail: this.lane(option.dataset.model) }));
  }

  #show(option) {
    for (const other of this.#options) other.setAttribute("aria-selected", String(other === option));
    this.#button.querySelector(".name").textContent = option.dataset.name;
    this.#button.querySelector(".shape").replaceChildren(option.querySelector("svg").cloneNode(true));
  }
}
