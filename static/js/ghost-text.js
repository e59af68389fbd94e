// <ghost-text>: shows, behind the cursor of the textarea inside, how the draft may go on. It says "wants" with
// {id, text} after a pause, takes what comes by show(), and Tab takes it over. It never holds up a key.

const PAUSE = 30; // ms without a key
const OFF = "suggestions.off"; // the one setting, kept in this browser

export class GhostText extends HTMLElement {
  #text;
  #ghost;
  #id = 0;
  #timer = 0;

  connectedCallback() {
    this.#text = this.querySelector("textarea");
    this.#ghost = this.querySelector(".ghost");
    this.#text.addEventListener("input", () => this.#wait());
    this.#text.addEventListener("keydown", (event) => this.#key(event), { capture: true });
    document.querySelector("[data-do=suggestions]")?.setAttribute("aria-pressed", String(!this.isOff));
    for (const moved of ["blur", "click", "scroll"]) this.#text.addEventListener(moved, () => this.clear());
  }

  get isOff() {
    return "off" in this.dataset || localStorage.getItem(OFF) === "1";
  }

  set isOff(off) {
    localStorage.setItem(OFF, off ? "1" : "");
    this.clear();
  }

  show({ id, text }) {
    if (id !== this.#id || !this.#atEnd) return;
    this.#ghost.replaceChildren(this.#text.value, Object.assign(document.createElement("span"), { textContent: text }));
    this.dataset.offers = text;
  }

  // Ask anew for what is written: the connection was not there when it was.
  again() {
    if (document.activeElement === this.#text) this.#wait();
  }

  clear() {
    clearTimeout(this.#timer);
    this.#id += 1;
    this.#ghost.replaceChildren();
    delete this.dataset.offers;
  }

  get #atEnd() {
    const { value, selectionStart, selectionEnd } = this.#text;
    return selectionStart === selectionEnd && selectionEnd === value.length;
  }

  #wait() {
    this.clear();
    if (this.isOff || !this.#atEnd || !this.#text.value.trim()) return;
    this.#timer = setTimeout(() => this.dispatchEvent(new CustomEvent("wants", { bubbles: true, detail: { id: this.#id, text: this.#text.value } })), PAUSE);
  }

  #key(event) {
    const offers = this.dataset.offers;
    if (!offers) return;
    if (event.key === "Tab" && !event.shiftKey) {
      event.preventDefault();
      this.clear();
      this.#text.setRangeText(offers, this.#text.value.length, this.#text.value.length, "end");
      this.#text.dispatchEvent(new Event("input", { bubbles: true }));
    } else if (event.key === "Escape") {
      event.stopPropagation();
      this.clear();
    }
  }
}
