// <chat-map data-rows="/c/…/map/">: the rows of a chat's map. Rows come as they are scrolled to; keys move, mark and act.

import { copyLink } from "./copy-link.js";
import { listen } from "./keys.js";
import { markRow, rowDialog, showMarks } from "./map-deeds.js";
import { toasts } from "./toasts.js";

const ROW = 48; // px, as the server draws them
const WINDOW = 80; // rows sent at once

class ChatMap extends HTMLElement {
  #near = new IntersectionObserver((seen) => seen.forEach((one) => one.isIntersecting && this.#fill(one.target)), { root: this, rootMargin: "600px 0px" });
  #filling = false;

  connectedCallback() {
    listen({
      j: () => this.#step(1),
      k: () => this.#step(-1),
      d: () => this.#at && markRow(this, this.#at),
      p: () => this.#do(this.#at?.dataset.pruned === undefined ? "prune" : "restore"),
      f: () => this.#do("star"),
      b: () => this.#at && document.querySelector("#row-dialog [data-do=flag-here]")?.dispatchEvent(new CustomEvent("for", { detail: this.#at })),
      ".": () => this.#at && rowDialog(this, this.#at),
    });
    this.addEventListener("click", (event) => this.#clicked(event));
    for (const gap of this.querySelectorAll(".gap")) this.#watch(gap);
    showMarks(this);
    this.show(document.getElementById(location.hash.slice(1)) ?? this.querySelector(".here"));
  }

  disconnectedCallback() {
    this.#near.disconnect();
  }

  get rows() {
    return [...this.querySelectorAll("[data-row]")];
  }

  // Where the reader is: the row with the focus, else the one they stand on.
  get #at() {
    const row = document.activeElement?.closest?.("[data-message]") ?? this.querySelector(".here");
    return this.contains(row) ? row : null;
  }

  show(row) {
    if (row && this.contains(row)) this.scrollTop = row.offsetTop - this.clientHeight / 2;
  }

  #step(by) {
    const rows = this.rows;
    const at = rows.indexOf(document.activeElement?.closest?.("[data-row]"));
    const start = at < 0 ? rows.findIndex((row) => row.classList.contains("here")) : at + by;
    rows[Math.max(0, Math.min(rows.length - 1, start))]?.querySelector(".go, a.open")?.focus();
  }

  #do(what) {
    const row = this.#at;
    const dialog = document.getElementById("row-dialog");
    const button = dialog?.querySelector(`button[name=do][value=${what}]`);
    if (!row || !button) return;
    rowDialog(this, row, { open: false });
    button.form.requestSubmit(button);
  }

  #clicked(event) {
    const more = event.target.closest("[data-do=row]");
    if (more) return rowDialog(this, more.closest("[data-row]"));
    const fold = event.target.closest("[data-open], [data-close]");
    if (!fold || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.#refold(fold.dataset.open, fold.dataset.close, fold.closest("[data-row]"));
  }

  // A fold is opened or closed in its place: the row that was clicked stays where it is.
  async #refold(open, close, row) {
    const query = new URLSearchParams(location.search);
    const opened = new Set(query.getAll("open"));
    if (open) opened.add(open);
    else opened.delete(close);
    query.delete("open");
    for (const one of opened) query.append("open", one);
    query.set("from", Math.max(0, this.#number(row) - WINDOW / 4));
    const page = await fetched(`?${query}`);
    const fresh = page?.querySelector("chat-map");
    if (!fresh) return;
    const top = row.getBoundingClientRect().top;
    const number = this.#number(row);
    this.replaceChildren(...fresh.childNodes);
    this.className = fresh.className;
    query.delete("from");
    history.replaceState(null, "", `?${query}`);
    for (const gap of this.querySelectorAll(".gap")) this.#watch(gap);
    const after = this.rows.find((one) => this.#number(one) === number);
    if (after) this.scrollTop += after.getBoundingClientRect().top - top;
    after?.querySelector(".go, a.open")?.focus({ preventScroll: true });
  }

  // The number of a row among all rows, those that are not here too.
  #number(row) {
    let number = 0;
    for (const one of row.parentElement.children) {
      if (one === row) return number;
      number += one.classList.contains("gap") ? Number(one.dataset.count) : 1;
    }
    return number;
  }

  #watch(gap) {
    gap.style.blockSize = `${gap.dataset.count * ROW}px`;
    this.#near.observe(gap);
  }

  // A gap that comes near is filled where it is looked at; what is left of it stays a gap.
  async #fill(gap) {
    if (this.#filling || !gap.isConnected) return;
    this.#filling = true;
    const [from, count] = [Number(gap.dataset.from), Number(gap.dataset.count)];
    const into = Math.floor((this.scrollTop - gap.offsetTop) / ROW);
    const start = from + Math.max(0, Math.min(count - WINDOW, into - WINDOW / 4));
    const query = new URLSearchParams(location.search);
    query.set("from", start);
    const rows = (await fetched(`${this.dataset.rows}?${query}`))?.querySelectorAll("[data-row]");
    this.#filling = false;
    if (!rows?.length || !gap.isConnected) return;
    const fresh = [...rows].slice(0, from + count - start);
    const end = start + fresh.length;
    gap.replaceWith(...gapOf(from, start - from), ...fresh, ...gapOf(end, from + count - end));
    for (const one of this.querySelectorAll(".gap:not([style])")) this.#watch(one);
  }
}

function gapOf(from, count) {
  if (count <= 0) return [];
  const gap = document.createElement("li");
  gap.className = "gap";
  Object.assign(gap.dataset, { from, count });
  return [gap];
}

async function fetched(address) {
  const response = await fetch(address).catch(() => null);
  return response?.ok ? new DOMParser().parseFromString(await response.text(), "text/html") : null;
}

customElements.define("chat-map", ChatMap);
copyLink();
toasts();
