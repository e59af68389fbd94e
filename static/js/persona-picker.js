// <persona-picker>: what the model is told before the chat, and what its names in braces stand for there.

class PersonaPicker extends HTMLElement {
  connectedCallback() {
    this.addEventListener("change", ({ target }) => target.name === "persona" && this.#show());
    document.addEventListener("pointerdown", ({ target }) => this.contains(target) || (this.querySelector("details").open = false));
    this.#show();
  }

  // As the frame has them; nothing for the workspace's own prompt.
  get asked() {
    const persona = Number(this.#chosen?.value) || null;
    if (!persona) return {};
    const fields = [...this.#fields].filter(({ dataset }) => dataset.of === String(persona)).map((label) => label.querySelector("input"));
    return { persona, variables: Object.fromEntries(fields.filter(({ value }) => value.trim()).map(({ name, value }) => [name, value])) };
  }

  get #chosen() {
    return this.querySelector("[name=persona]:checked");
  }

  get #fields() {
    return this.querySelectorAll("[data-of]");
  }

  #show() {
    const chosen = this.#chosen;
    this.querySelector("[data-name]").textContent = chosen?.dataset.title ?? "Persona";
    this.toggleAttribute("data-on", Boolean(chosen?.value));
    for (const field of this.#fields) field.hidden = field.dataset.of !== chosen?.value;
  }
}

customElements.define("persona-picker", PersonaPicker);
