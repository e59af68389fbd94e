// The ends of a thread that shows part of a long path: what comes before or after is fetched when they come near, and
// goes in without moving what is being read.

import { fragment } from "./answer.js";

const NEAR = "1200px 0px";

export class Ends {
  #thread;
  #near = new IntersectionObserver((seen) => seen.forEach((one) => one.isIntersecting && this.#fill(one.target)), { rootMargin: NEAR });
  #filling = new Set();

  constructor(thread) {
    this.#thread = thread;
  }

  // The ends that are there now.
  watch() {
    this.#near.disconnect();
    for (const end of this.#thread.querySelectorAll("li.end")) this.#near.observe(end);
  }

  async #fill(end) {
    if (this.#filling.has(end)) return;
    this.#filling.add(end);
    const older = end.hasAttribute("data-older");
    const beside = older ? end.nextElementSibling : end.previousElementSibling;
    const message = beside?.dataset.at ?? beside?.dataset.message;
    const response = message && (await fetch(`${this.#thread.dataset.place}../messages/?${older ? "before" : "after"}=${message}`).catch(() => null));
    this.#filling.delete(end);
    if (!response?.ok || !end.isConnected) return;
    const part = fragment(await response.text());
    if (!end.isConnected) return;
    const other = part.querySelector(older ? ".end.newer" : ".end.older");
    other?.remove(); // that side is here already
    const turns = [...part.children].filter((one) => one.id && !document.getElementById(one.id));
    still(beside, () => end.replaceWith(part));
    this.watch();
    this.#thread.dispatchEvent(new CustomEvent("more", { detail: turns }));
  }
}

// Do something to the page, and keep an element where it is on the screen.
export function still(element, change) {
  const top = element?.getBoundingClientRect().top;
  const root = document.documentElement;
  root.style.overflowAnchor = "none";
  change();
  if (element?.isConnected) scrollBy({ top: element.getBoundingClientRect().top - top, behavior: "instant" });
  requestAnimationFrame(() => root.style.removeProperty("overflow-anchor"));
}

// The first turn that is in view, to hold on to.
export function inView(turns) {
  return turns.find((turn) => turn.getBoundingClientRect().bottom > 64) ?? null;
}
