// <share-dialog data-url="/c/…/share/" data-summary="shared">: whom a chat is shared with. The server draws it and
// takes every change; what the chat's head says of it follows.

import { fragment } from "./answer.js";
import { cookie } from "./cookie.js";

class ShareDialog extends HTMLElement {
  connectedCallback() {
    this.addEventListener("submit", (event) => this.#submit(event));
    this.addEventListener("change", ({ target }) => {
      if (target.matches(".shares select")) this.#change(new FormData(target.form));
    });
  }

  async open() {
    if (await this.#show(fetch(this.dataset.url))) this.#dialog.showModal();
  }

  get #dialog() {
    return this.querySelector("dialog");
  }

  #submit(event) {
    if (event.target.method === "dialog") return;
    event.preventDefault();
    this.#change(new FormData(event.target, event.submitter));
  }

  #change(body) {
    return this.#show(fetch(this.dataset.url, { method: "POST", body, headers: { "X-CSRFToken": cookie("csrftoken") } }));
  }

  // A refusal is drawn too; only what is no answer of the dialog's is told beside it.
  async #show(asked) {
    try {
      const response = await asked;
      if (!response.ok && response.status !== 400) throw new Error("The chat can't be shared now. Reload the page.");
      this.querySelector(".in").replaceChildren(fragment(await response.text()));
      this.querySelector("input[name=name]").focus();
      const summary = this.querySelector("template[data-summary]").content.cloneNode(true);
      document.getElementById(this.dataset.summary).replaceChildren(summary);
      return true;
    } catch (error) {
      const words = error instanceof TypeError ? "The server can't be reached. Try again in a moment." : error.message;
      this.dispatchEvent(new CustomEvent("failed", { bubbles: true, detail: words }));
      return false;
    }
  }
}

customElements.define("share-dialog", ShareDialog);
