// <chat-composer data-upload="/blobs/">: writes questions. It says "send" with {text, blobs, images, documents, reasoning, edits}
// and keeps every word until the server has it. Drafts live in this browser, one for each chat.

import { cookie } from "./cookie.js";
import "./attached-files.js";

const PICTURES = ["image/png", "image/jpeg", "image/webp", "image/gif"];

export class ChatComposer extends HTMLElement {
  #text;
  #attached = []; // {digest, url, item}
  #edits = null; // the question that is being edited, as its <li>
  #queued = []; // what waits for the answer above
  #draft = ""; // what was in the field when an edit began
  #busy = false;

  connectedCallback() {
    this.#text = this.querySelector("#text"); // lanes that were kept have fields of their own before it
    this.querySelector("form").addEventListener("submit", (event) => this.#submit(event));
    this.#text.addEventListener("input", () => this.#changed());
    this.#text.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("paste", (event) => this.#take(event, event.clipboardData.files));
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => this.#take(event, event.dataTransfer.files));
    this.addEventListener("complaint", (event) => { event.stopPropagation(); this.complain(event.detail); });
    const input = this.querySelector("input[type=file]");
    input.addEventListener("change", () => { this.#attach(input.files); input.value = ""; });
    this.#text.value = localStorage.getItem(this.#draftKey) ?? "";
    this.#changed();
  }

  get isEmpty() {
    return !this.#text.value.trim() && !this.#attached.length;
  }

  get hasImages() {
    return this.#attached.length > 0;
  }

  get mayWrite() {
    return this.dataset.mayWrite === "1";
  }

  get documents() {
    return this.#isOn("documents");
  }

  // The collections that are chosen; none says all.
  get collections() {
    const boxes = [...this.querySelectorAll("input[name=shelf]")];
    return boxes.every(({ checked }) => checked) ? null : boxes.filter(({ checked }) => checked).map(({ value }) => value);
  }

  get web() {
    return this.#isOn("web");
  }

  get reasoning() {
    return this.#isOn("reasoning");
  }

  focusText() {
    this.#text.focus();
  }

  // While an answer runs, a question waits for it and says so.
  set busy(busy) {
    this.#busy = busy;
    const send = this.querySelector("[type=submit]");
    send.setAttribute("aria-label", busy ? "Queue after this answer" : "Send");
    send.title = busy ? "Queue after this answer (Enter)" : "Send (Enter)";
    if (!busy && this.#queued.length) this.dispatchEvent(new CustomEvent("send", { bubbles: true, detail: this.#queued.shift() }));
    this.#hint();
  }

  // Give a refused question back to its writer, with the reason.
  giveBack({ text, attached, files }, { cause, action }) {
    this.#files.giveBack(files.items);
    this.#text.value = [text, this.#text.value].filter((words) => words.trim()).join("\n\n");
    this.#attached = [...attached, ...this.#attached];
    this.#attached.forEach(({ item }) => this.querySelector(".attached").append(item));
    this.#changed();
    this.complain(`${cause} ${action}`);
    this.focusText();
  }

  // The page goes away: words that nobody has yet are the draft that comes back.
  keep(unsent) {
    const texts = [...unsent, ...this.#queued.map(({ text }) => text), this.#text.value];
    localStorage.setItem(this.#draftKey, texts.filter((words) => words.trim()).join("\n\n"));
  }

  complain(words) {
    const hint = this.querySelector(".hint");
    hint.textContent = words;
    hint.classList.add("bad");
  }

  ask(text) {
    this.#text.value = text;
    this.#changed();
    this.querySelector("form").requestSubmit();
  }

  edit(item) {
    if (!this.#edits) this.#draft = this.#text.value;
    this.#edits = item;
    this.#text.value = item.querySelector(".ask").textContent;
    this.querySelector(".editing").hidden = false;
    this.#changed();
    this.focusText();
  }

  #cancelEdit() {
    this.#endEdit();
    this.#changed();
  }

  #endEdit() {
    this.#text.value = this.#draft;
    this.#draft = "";
    this.#edits = null;
    this.querySelector(".editing").hidden = true;
  }

  #isOn(what) {
    return this.querySelector(`[data-do=${what}]`)?.getAttribute("aria-pressed") === "true";
  }

  #submit(event) {
    event.preventDefault();
    if (!this.mayWrite) return;
    if (this.documents && this.collections?.length === 0) return this.complain("No documents are chosen. Choose some beside Documents, or switch it off.");
    if (this.isEmpty) return this.complain("The message is empty. Write something, or attach an image.");
    if (this.#files.isReading) return this.complain("A file is still being read. Send again in a moment.");
    if (this.#attached.some(({ digest }) => !digest)) return this.complain("An image is still on its way. Send again in a moment.");
    const detail = {
      text: this.#text.value,
      attached: this.#attached,
      files: this.#files.take(),
      blobs: this.#attached.map(({ digest }) => digest),
      images: this.#attached.map(({ url }) => url),
      documents: this.documents,
      collections: this.collections,
      web: this.web,
      reasoning: this.reasoning,
      persona: this.querySelector("persona-picker")?.asked ?? {},
      edits: this.#edits,
    };
    this.#attached = [];
    this.#endEdit();
    this.querySelector(".attached").replaceChildren();
    this.#changed();
    if (this.#busy) {
      this.#queued.push(detail);
      return this.#hint();
    }
    this.dispatchEvent(new CustomEvent("send", { bubbles: true, detail }));
  }

  #hint() {
    const hint = this.querySelector(".hint");
    hint.classList.remove("bad");
    const [next] = this.#queued;
    const more = this.#queued.length > 1 ? `, and ${this.#queued.length - 1} more` : "";
    if (next) hint.textContent = `Sent when the answer above is done: “${next.text.slice(0, 60)}”${more}`;
    else hint.textContent = this.#busy && this.#text.value ? "An answer is being written. Your message is sent when it is done." : "";
  }

  #changed() {
    localStorage.setItem(this.#draftKey, this.#text.value);
    this.#text.style.blockSize = "auto";
    this.#text.style.blockSize = `${Math.min(this.#text.scrollHeight, innerHeight * 0.4)}px`;
    const tokens = Math.ceil(this.#text.value.length / 4);
    this.querySelector(".est").textContent = tokens > 50 ? `≈ ${tokens.toLocaleString("en")} tok` : "";
    this.#hint();
  }

  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.querySelector("form").requestSubmit();
    } else if (event.key === "ArrowUp" && !this.#text.value) {
      event.preventDefault();
      this.dispatchEvent(new Event("edit-last", { bubbles: true }));
    } else if (event.key === "Escape" && this.#edits) {
      event.stopPropagation();
      this.#cancelEdit();
    }
  }

  #clicked(event) {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    if (button.dataset.do === "attach") this.querySelector("input[type=file]").click();
    if (button.dataset.do === "cancel-edit") this.#cancelEdit();
    if (["documents", "web", "reasoning"].includes(button.dataset.do)) button.setAttribute("aria-pressed", String(!this.#isOn(button.dataset.do)));
  }

  #take(event, files) {
    if (!files.length || !this.mayWrite) return;
    event.preventDefault();
    this.#attach(files);
  }

  #attach(files) {
    for (const file of files) PICTURES.includes(file.type) ? this.#upload(file) : this.#files.add(file);
  }

  async #upload(file) {
    const item = document.getElementById("attached-template").content.firstElementChild.cloneNode(true);
    const one = { digest: "", url: URL.createObjectURL(file), item };
    item.querySelector("img").src = one.url;
    item.querySelector("span").textContent = `${file.name} …`;
    const drop = () => { this.#attached = this.#attached.filter((other) => other !== one); item.remove(); this.#told(); };
    item.querySelector("button").addEventListener("click", drop);
    this.#attached.push(one);
    this.querySelector(".attached").append(item);
    const body = new FormData();
    body.append("file", file);
    try {
      const response = await fetch(this.dataset.upload, { method: "POST", body, headers: { "X-CSRFToken": cookie("csrftoken") } });
      const said = await response.json().catch(() => ({ cause: "The image could not be stored.", action: "Try again." }));
      if (!response.ok) throw new Error(`${said.cause} ${said.action}`);
      Object.assign(one, { digest: said.digest, url: said.url });
      item.querySelector("span").textContent = file.name;
    } catch (error) {
      drop();
      this.complain(error instanceof TypeError ? "The server can't be reached. Attach the image again in a moment." : error.message);
    }
    this.#told();
  }

  get #files() {
    return this.querySelector("attached-files");
  }

  #told() {
    this.dispatchEvent(new Event("images", { bubbles: true }));
  }

  get #draftKey() {
    return `draft.${document.body.dataset.chat ?? ""}`;
  }
}
