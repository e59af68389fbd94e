// The editor of the router's file: line numbers beside the text, what the server says of it as it is written, and
// words of the language written at the caret. Without scripts the text field and its errors after saving remain.
import { cookie } from "./cookie.js";

const PAUSE = 350; // ms without a key until the server is asked
const INDENT = "  ";

// Where a line and a column, both from 1, lie in a text.
export function offsetOf(text, line, column) {
  let at = 0;
  for (let number = 1; number < line; number++) at = text.indexOf("\n", at) + 1;
  return Math.min(at + column - 1, text.length);
}

class RouterFile extends HTMLElement {
  #field;
  #gutter;
  #said;
  #timer;
  #asking;
  #lines = 0;
  #leaving = false; // Escape was pressed, so the next Tab goes on to the next control

  connectedCallback() {
    this.#field = document.getElementById(this.getAttribute("for"));
    this.#said = this.querySelector(".file-said");
    if (!this.#field) return;
    this.#frame();
    this.#field.addEventListener("input", () => this.#changed());
    this.#field.addEventListener("scroll", () => (this.#gutter.scrollTop = this.#field.scrollTop), { passive: true });
    this.#field.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("click", (event) => this.#click(event));
    document.getElementById(this.getAttribute("upload"))?.addEventListener("change", (event) => this.#take(event.target));
    this.#number();
    this.#check();
  }

  #frame() {
    const frame = document.createElement("div");
    frame.className = "file-frame";
    this.#gutter = document.createElement("ol");
    this.#gutter.setAttribute("aria-hidden", "true");
    this.#field.replaceWith(frame);
    frame.append(this.#gutter, this.#field);
    this.#field.setAttribute("wrap", "off");
    this.#said.id ||= "file-said";
    const described = this.#field.getAttribute("aria-describedby");
    this.#field.setAttribute("aria-describedby", [described, this.#said.id].filter(Boolean).join(" "));
    frame.after(this.#said);
    this.#said.addEventListener("click", (event) => this.#follow(event));
  }

  #changed() {
    this.#number();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), PAUSE);
  }

  #number() {
    const lines = this.#field.value.split("\n").length;
    while (this.#lines < lines) this.#gutter.append(document.createElement("li")), this.#lines++;
    while (this.#lines > lines) this.#gutter.lastElementChild.remove(), this.#lines--;
  }

  async #check() {
    this.#asking?.abort();
    this.#asking = new AbortController();
    const body = new URLSearchParams({ source: this.#field.value });
    try {
      const headers = { "X-CSRFToken": cookie("csrftoken") };
      const answer = await fetch(this.getAttribute("check"), { method: "POST", body, headers, signal: this.#asking.signal });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      this.#show(await answer.json());
    } catch (error) {
      if (error.name !== "AbortError") this.#tell("It can’t be checked now. Saving checks it again.", "unknown");
    }
  }

  #show({ problems, routes }) {
    for (const line of this.#gutter.querySelectorAll(".bad")) line.classList.remove("bad");
    for (const { line } of problems) this.#gutter.children[line - 1]?.classList.add("bad");
    this.#field.setAttribute("aria-invalid", String(problems.length > 0));
    if (!problems.length) {
      this.#tell(routes.length === 1 ? "It reads well: 1 route." : `It reads well: ${routes.length} routes.`, "good");
      return;
    }
    const list = document.createElement("ul");
    for (const { line, column, message } of problems) {
      const go = document.createElement("button");
      go.type = "button";
      go.dataset.line = line;
      go.dataset.column = column;
      go.textContent = `Line ${line}, column ${column}`;
      const item = document.createElement("li");
      item.append(go, ` ${message}`);
      list.append(item);
    }
    this.#said.dataset.state = "bad";
    this.#said.replaceChildren(list);
  }

  #tell(words, state) {
    this.#said.dataset.state = state;
    this.#said.textContent = words;
  }

  #click(event) {
    const button = event.target.closest("button");
    if (button?.dataset.insert) this.#write(button.dataset.insert);
  }

  // To the place of a problem.
  #follow(event) {
    const { line, column } = event.target.closest("button")?.dataset ?? {};
    if (!line) return;
    const at = offsetOf(this.#field.value, Number(line), Number(column));
    this.#field.focus();
    this.#field.setSelectionRange(at, at);
    const height = parseFloat(getComputedStyle(this.#field).lineHeight);
    this.#field.scrollTop = Math.max(0, (line - 5) * height);
  }

  // Tab indents, and leaves the field after Escape, so that nobody is kept in it.
  #key(event) {
    if (event.key === "Escape") {
      this.#leaving = true;
    } else if (event.key === "Tab" && !event.shiftKey && !this.#leaving && !event.ctrlKey && !event.altKey) {
      event.preventDefault();
      this.#write(INDENT);
    } else if (event.key !== "Shift" && event.key !== "Tab") {
      this.#leaving = false;
    }
  }

  // The one way to write that the browser's own undo knows of.
  #write(text) {
    this.#field.focus();
    if (!document.execCommand("insertText", false, text)) {
      this.#field.setRangeText(text, this.#field.selectionStart, this.#field.selectionEnd, "end");
      this.#changed();
    }
  }

  async #take(input) {
    const [file] = input.files;
    if (!file || file.size > 1_000_000) return; // the server says what is wrong with it
    this.#field.value = (await file.text()).replaceAll("\r\n", "\n");
    input.value = "";
    this.#changed();
  }
}
customElements.define("router-file", RouterFile);
