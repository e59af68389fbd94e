// <chat-map>: the rows of a chat's map by keys: J and K move, Enter goes there.

import { listen } from "./keys.js";

class ChatMap extends HTMLElement {
  connectedCallback() {
    listen({ j: () => this.#step(1), k: () => this.#step(-1) });
    this.querySelector(".here")?.scrollIntoView({ block: "center" });
  }

  #step(by) {
    const rows = [...this.querySelectorAll("button[name=message]")].filter((row) => row.checkVisibility());
    const at = rows.indexOf(document.activeElement);
    const start = at < 0 ? rows.findIndex((row) => row.closest(".here")) : at + by;
    rows[Math.max(0, Math.min(rows.length - 1, start))]?.focus();
  }
}
customElements.define("chat-map", ChatMap);
