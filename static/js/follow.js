// Follows the end of the page while the reader is there, and lets go when they scroll up.

const NEAR = 64; // px

export class Follow {
  #button;
  #held = false;

  constructor(button) {
    this.#button = button;
    button.addEventListener("click", () => this.toEnd());
    addEventListener("scroll", () => this.#scrolled(), { passive: true });
  }

  get isNear() {
    const { scrollHeight, clientHeight, scrollTop } = document.scrollingElement;
    return scrollHeight - clientHeight - scrollTop < NEAR;
  }

  grown() {
    if (this.#held) this.#button.hidden = false;
    else this.toEnd();
  }

  toEnd() {
    this.#held = false;
    this.#button.hidden = true;
    scrollTo({ top: document.scrollingElement.scrollHeight, behavior: "instant" });
  }

  #scrolled() {
    this.#held = !this.isNear;
    if (!this.#held) this.#button.hidden = true;
  }
}
