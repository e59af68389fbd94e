// <document-drop><form …>: files chosen or dropped anywhere on the page are sent at once, with progress; what is there
// is drawn by the server, and drawn again while documents are being read. Without scripts the form is sent as it is.

import { fragment } from "./answer.js";

const LOOK = 1500; // milliseconds between two looks while documents are read

export class DocumentDrop extends HTMLElement {
  connectedCallback() {
    this.#form.querySelector("[data-submit]").hidden = true;
    this.addEventListener("change", (event) => event.target.files && this.#send(event.target.files));
    this.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#form.elements.url.value || this.#form.elements.text.value.trim()) this.#ask(new FormData(this.#form));
    });
    document.addEventListener("dragover", this.#over);
    document.addEventListener("dragleave", this.#left);
    document.addEventListener("drop", this.#dropped);
    this.#send(this.#form.elements.files.files); // chosen before this script was here
    this.#watch();
  }

  disconnectedCallback() {
    document.removeEventListener("dragover", this.#over);
    document.removeEventListener("dragleave", this.#left);
    document.removeEventListener("drop", this.#dropped);
    clearTimeout(this.timer);
  }

  get #form() {
    return this.querySelector("form");
  }

  get #list() {
    return document.getElementById("collections");
  }

  #over = (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    this.#form.classList.add("over");
  };

  #left = () => this.#form.classList.remove("over");

  #dropped = (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    this.#left();
    this.#send(event.dataTransfer.files);
  };

  #send(files) {
    if (!files.length) return;
    const body = new FormData(this.#form);
    body.delete("files");
    body.delete("url");
    body.delete("text");
    for (const file of files) body.append("files", file);
    this.#ask(body);
  }

  // fetch tells nothing of how far an upload is.
  #ask(body) {
    const asked = new XMLHttpRequest();
    const bar = this.querySelector("progress");
    bar.hidden = false;
    bar.removeAttribute("value");
    asked.upload.addEventListener("progress", ({ loaded, total }) => (bar.value = total ? loaded / total : 0));
    asked.addEventListener("load", () => this.#sent(asked));
    asked.addEventListener("error", () => this.#say("The server can't be reached. Try again in a moment."));
    asked.addEventListener("loadend", () => (bar.hidden = true));
    asked.open("POST", this.#form.action);
    asked.send(body);
  }

  // The answer is the whole page, as it is without scripts: what it says and what it lists are taken from it.
  #sent(asked) {
    if (asked.status === 400 || asked.status === 413) return this.#say("That is too much at once. Add fewer files, or a long text as a file.");
    if (asked.status !== 200) return this.#say("Nothing was taken. Reload the page and try again.");
    const page = fragment(asked.responseText);
    if (!page.querySelector(".tell .error")) this.#form.reset(); // what was refused is there to be mended
    this.#say([...page.querySelectorAll(".tell")].map((one) => one.textContent.trim()).join(" "));
    this.#show(page.querySelector("#collections"));
  }

  #say(words) {
    this.querySelector(".said").textContent = words;
  }

  #show(list) {
    if (list) this.#list.replaceWith(list);
    this.#watch();
  }

  #watch() {
    clearTimeout(this.timer);
    if ("reading" in this.#list.dataset) this.timer = setTimeout(() => this.#look(), LOOK);
  }

  async #look() {
    try {
      const response = await fetch("?part");
      this.#show(response.ok ? fragment(await response.text()).querySelector("#collections") : null);
    } catch {
      this.#watch();
    }
  }
}

customElements.define("document-drop", DocumentDrop);
