// A field that is only to be copied: a press of its button takes it.

class CopyField extends HTMLElement {
  connectedCallback() {
    const field = this.querySelector("input, textarea");
    const button = this.querySelector("button");
    button.hidden = !navigator.clipboard; // a browser offers it over HTTPS and on localhost alone
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(field.value);
      button.textContent = "Copied";
    });
    field.addEventListener("focus", () => field.select());
  }
}
customElements.define("copy-field", CopyField);
