// <passage-preview>: the passage behind a citation, beside it, while the pointer or the focus is on its number and the
// passage in the margin is out of sight. It stays while the pointer is on it; Escape, a click or scrolling ends it.

const AFTER = 120; // ms on a number
const LEFT = 250; // ms away from it
const GAP = 6; // px

class PassagePreview extends HTMLElement {
  #chip = null;
  #timer = 0;

  connectedCallback() {
    this.#moved(document.querySelector(".cite:is(:hover, :focus)") ?? this); // it may have come for that very number
    document.addEventListener("pointerover", (event) => this.#moved(event.target));
    document.addEventListener("focusin", (event) => this.#moved(event.target));
    document.addEventListener("click", () => this.#hide());
    document.addEventListener("keydown", (event) => this.#key(event), { capture: true });
    document.addEventListener("scroll", (event) => !this.contains(event.target) && this.#hide(), { capture: true, passive: true });
  }

  #moved(target) {
    if (this.contains(target)) return clearTimeout(this.#timer);
    const chip = target.closest?.(".prose .cite[data-passage]") ?? null;
    if (chip && chip === this.#chip) return clearTimeout(this.#timer);
    clearTimeout(this.#timer);
    if (chip) this.#timer = setTimeout(() => this.#show(chip), AFTER);
    else if (this.#chip) this.#timer = setTimeout(() => this.#hide(), LEFT);
  }

  #show(chip) {
    this.#hide();
    const passage = passageOf(chip);
    if (!passage || isInSight(passage) || !chip.isConnected) return;
    this.replaceChildren(copyOf(passage));
    this.#chip = chip;
    chip.setAttribute("aria-describedby", this.id);
    this.showPopover();
    this.#place(chip.getBoundingClientRect());
  }

  #hide() {
    clearTimeout(this.#timer);
    this.#chip?.removeAttribute("aria-describedby");
    this.#chip = null;
    if (this.matches(":popover-open")) this.hidePopover();
  }

  #key(event) {
    if (event.key !== "Escape" || !this.#chip) return;
    event.stopPropagation(); // it ends the preview, not the answer
    this.#hide();
  }

  #place(chip) {
    const { right } = document.body.getBoundingClientRect(); // short of the room that is kept for a scrollbar
    this.style.maxWidth = `${right - 2 * GAP}px`;
    const { width, height } = this.getBoundingClientRect();
    const below = chip.bottom + GAP + height <= innerHeight || chip.top - GAP < height;
    this.style.top = `${below ? chip.bottom + GAP : chip.top - GAP - height}px`;
    this.style.left = `${Math.max(GAP, Math.min(chip.left - 24, right - width - GAP))}px`;
  }
}

customElements.define("passage-preview", PassagePreview);

// In the margin of its answer, or among what all lanes of a comparison were given.
function passageOf(chip) {
  const number = chip.dataset.passage;
  return chip.closest(".turn")?.querySelector(`.note[data-passage="${number}"], li[data-passage="${number}"] > a[title]`);
}

function isInSight(passage) {
  const { top, bottom, height } = passage.getBoundingClientRect();
  return height > 0 && passage.matches(".note") && top >= 0 && bottom <= innerHeight;
}

function copyOf(passage) {
  if (passage.matches(".note")) {
    const copy = passage.cloneNode(true);
    copy.classList.remove("on");
    copy.removeAttribute("data-passage");
    return copy;
  }
  const text = document.createElement("p");
  text.textContent = passage.title;
  return text;
}
