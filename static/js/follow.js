// Follows the end of the page while the reader is there, and lets go when they scroll up. Of a comparison that is over
// the lanes are the end, where the figures below would push them out of sight.

const NEAR = 64; // px
const SEEN = 1 / 3; // of the screen, that the lanes of a comparison which is over reach into

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
    const lanes = document.querySelector(".turn.board:last-child .lanes");
    if (lanes?.getBoundingClientRect().bottom < innerHeight * SEEN) {
      lanes.closest(".turn").scrollIntoView({ behavior: "instant" }); // its figures are longer than the screen
    }
  }

  #scrolled() {
    this.#held = !this.isNear;
    if (!this.#held) this.#button.hidden = true;
  }
}
