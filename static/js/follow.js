// Follows the end of the page while the reader is there, and lets go when they scroll up. Of a comparison that is over
// the lanes are the end, where the figures below would push them out of sight.

const NEAR = 64; // px
const SEEN = 1 / 3; // of the screen, that the lanes of a comparison which is over reach into

export class Follow {
  #button;
  #held = false;
  #seen = 0; // px that the page was high when its end was in sight

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
    if (!this.#held) this.toEnd();
    else if (document.scrollingElement.scrollHeight - this.#seen > NEAR) this.#button.hidden = false;
  }

  toEnd() {
    this.#held = false;
    this.#button.hidden = true;
    this.#seen = document.scrollingElement.scrollHeight;
    scrollTo({ top: document.scrollingElement.scrollHeight, behavior: "instant" });
    const lanes = document.querySelector(".turn.board:last-child .lanes");
    if (lanes?.getBoundingClientRect().bottom < innerHeight * SEEN) {
      lanes.closest(".turn").scrollIntoView({ behavior: "instant" }); // its figures are longer than the screen
    }
  }

  #scrolled() {
    this.#held = !this.isNear;
    if (this.#held) return;
    this.#seen = document.scrollingElement.scrollHeight;
    this.#button.hidden = true;
  }
}
