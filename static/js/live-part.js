// <live-part every="1500">: a part of the page that is fetched again while it says so; "from" is where, if not the page
// itself, and one that "reloads" has the whole page anew once it is done.

class LivePart extends HTMLElement {
  #timer = 0;
  #tag = "";

  connectedCallback() {
    this.#wait();
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
  }

  #wait() {
    const every = Number(this.getAttribute("every"));
    if (every) this.#timer = setTimeout(() => this.#renew(), every);
  }

  async #renew() {
    try {
      const seen = this.#tag ? { "if-none-match": this.#tag } : {};
      const answer = await fetch(this.getAttribute("from") ?? location.href, { headers: { accept: "text/html", ...seen } });
      if (answer.status === 304) return this.#wait();
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(this.id);
      if (answer.ok && fresh && this.hasAttribute("reloads") && !fresh.hasAttribute("every")) return location.reload();
      if (answer.ok && fresh && !this.contains(document.activeElement)) {
        this.toggleAttribute("every", fresh.hasAttribute("every"));
        if (fresh.hasAttribute("every")) this.setAttribute("every", fresh.getAttribute("every"));
        this.replaceChildren(...fresh.childNodes);
        this.#tag = answer.headers.get("etag") ?? "";
      }
    } catch {
      // the server is away; it is asked again
    }
    this.#wait();
  }
}
customElements.define("live-part", LivePart);
