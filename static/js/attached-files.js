// <attached-files data-upload="…" data-state="…">: documents beside a question, for it alone or for the whole chat. They
// are read by the server; the composer sends when they can be searched.

import { cookie } from "./cookie.js";

const LOOK = 700; // milliseconds between two looks at a document that is being read

export class AttachedFiles extends HTMLElement {
  connectedCallback() {
    this.addEventListener("click", (event) => this.#clicked(event));
  }

  get isReading() {
    return this.#items.some(({ dataset }) => !dataset.ready);
  }

  get isEmpty() {
    return !this.#items.length;
  }

  // What the next question names; what is for it alone leaves the list.
  take() {
    const ids = (kept) => this.#items.filter((item) => this.#isKept(item) === kept).map(({ dataset }) => dataset.document);
    const names = this.#items.map((item) => item.querySelector(".name").textContent);
    const taken = { names, attached: ids(false), kept: ids(true), items: this.#items.filter((item) => !this.#isKept(item)) };
    taken.items.forEach((item) => item.remove());
    return taken;
  }

  giveBack(items) {
    this.querySelector("ul").append(...items);
  }

  async add(file) {
    const item = document.getElementById("file-template").content.firstElementChild.cloneNode(true);
    item.querySelector(".name").textContent = file.name;
    this.querySelector("ul").append(item);
    const body = new FormData();
    body.append("file", file);
    try {
      const response = await fetch(this.dataset.upload, { method: "POST", body, headers: { "X-CSRFToken": cookie("csrftoken") } });
      const said = await response.json().catch(() => ({ cause: "The file could not be stored.", action: "Try again." }));
      if (!response.ok) throw new Error(`${said.cause} ${said.action}`.trim());
      item.dataset.document = said.id;
      await this.#read(item, said);
    } catch (error) {
      item.remove();
      const words = error instanceof TypeError ? "The server can't be reached. Attach the file again in a moment." : error.message;
      this.dispatchEvent(new CustomEvent("complaint", { bubbles: true, detail: words }));
    }
  }

  async #read(item, said) {
    while (!said.searchable) {
      if (said.failed) throw new Error(`${item.querySelector(".name").textContent}: ${said.failed}`);
      if (!item.isConnected) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK));
      const response = await fetch(this.dataset.state.replace("00000000-0000-0000-0000-000000000000", said.id));
      if (!response.ok) throw new Error("The file is not there any more. Attach it again.");
      said = await response.json();
    }
    item.dataset.ready = "1";
    item.querySelector(".state").textContent = "";
  }

  #clicked(event) {
    const button = event.target.closest("button");
    const item = button?.closest("li");
    if (!item) return;
    if (button.dataset.file === "remove") return item.remove();
    button.setAttribute("aria-pressed", String(!this.#isKept(item)));
  }

  #isKept(item) {
    return item.querySelector("[data-file=keep]").getAttribute("aria-pressed") === "true";
  }

  get #items() {
    return [...this.querySelectorAll("li")];
  }
}

customElements.define("attached-files", AttachedFiles);
