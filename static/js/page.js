// The page's wiring: which element hears what of which. Behaviour lives in the elements.

import * as access from "./access.js";
import { ChatComposer } from "./chat-composer.js";
import { ChatThread } from "./chat-thread.js";
import { cookie } from "./cookie.js";
import { Follow } from "./follow.js";
import { GhostText } from "./ghost-text.js";
import { listen } from "./keys.js";
import { LaneBoard } from "./lane-board.js";
import { LaneList } from "./lane-list.js";
import { ModelPicker } from "./model-picker.js";
import { Socket } from "./socket.js";
import { ASK, TELL } from "./wire.js";

customElements.define("lane-board", LaneBoard);
customElements.define("chat-thread", ChatThread);
customElements.define("lane-list", LaneList);
customElements.define("model-picker", ModelPicker);
customElements.define("chat-composer", ChatComposer);
customElements.define("ghost-text", GhostText);

const thread = document.querySelector("chat-thread");
const composer = document.querySelector("chat-composer");
const picker = document.querySelector("model-picker");
const lanes = document.querySelector("lane-list");
const ghost = document.querySelector("ghost-text");
const say = (words) => { const region = document.getElementById("announce"); if (region) region.textContent = words; };

// What not every page wants comes when it is wanted.
if (document.querySelector("persona-picker")) await import("./persona-picker.js");
for (const kind of ["pointerover", "focusin"]) thread?.addEventListener(kind, () => import("./passage-preview.js"), { once: true });

document.addEventListener("click", async (event) => {
  const action = event.target.closest("[data-do]")?.dataset.do;
  if (action === "index") toggleIndex();
  if (action === "theme") say(`Theme: ${(await import("./theme.js")).next()}`);
  if (action === "rename") rename();
  if (action === "suggestions") suggestions(event.target.closest("button"));
  if (action === "share") import("./share-dialog.js").then(() => document.querySelector("share-dialog").open());
  if (action === "keys") document.getElementById("keys-dialog").showModal();
});
document.addEventListener("failed", ({ detail }) => say(detail));
document.querySelector("[data-find]")?.addEventListener("input", ({ target }) => {
  for (const link of document.querySelectorAll("#chats a")) {
    link.parentElement.hidden = !link.textContent.toLowerCase().includes(target.value.trim().toLowerCase());
  }
});

// The title becomes a field; Enter keeps it, Escape leaves it as it was.
function rename() {
  const title = document.getElementById("title");
  const field = Object.assign(document.createElement("input"), { value: title.textContent, maxLength: 200, ariaLabel: "Title" });
  const end = async (keep) => {
    field.replaceWith(title);
    const body = new URLSearchParams({ title: field.value });
    if (!keep || !field.value.trim() || field.value === title.textContent) return;
    const response = await fetch(`/c/${document.body.dataset.chat}/rename/`, { method: "POST", body, headers: { "X-CSRFToken": cookie("csrftoken") } });
    if (!response.ok) return say("The title could not be kept.");
    title.textContent = (await response.json()).title;
    const link = document.querySelector(`#chats [data-chat="${document.body.dataset.chat}"] span`);
    if (link) link.textContent = title.textContent;
    document.title = `${title.textContent} · Onepane`;
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") end(true);
    if (event.key === "Escape") end(false);
  });
  field.addEventListener("blur", () => field.isConnected && end(true));
  title.replaceWith(field);
  field.select();
}

function suggestions(button) {
  ghost.isOff = !ghost.isOff;
  button.setAttribute("aria-pressed", String(!ghost.isOff));
  say(ghost.isOff ? "Suggestions are off." : "Suggestions are on.");
}

function toggleIndex(open = !document.body.classList.contains("index-open")) {
  document.body.classList.toggle("index-open", open);
  document.querySelector("[data-do=index]")?.setAttribute("aria-expanded", String(open));
}
document.addEventListener("pointerdown", (event) => {
  if (document.body.classList.contains("index-open") && !event.target.closest("#index, [data-do=index]")) toggleIndex(false);
});

if (thread) chat();

function chat() {
  const socket = new Socket();
  const follow = new Follow(document.getElementById("below"));
  const state = document.getElementById("link-state");
  const kept = new Map(); // client_id -> what the composer gave, until the server has it
  const edited = new Set(); // runs under an edited question, whose versions the page shows once they are settled
  let here = document.body.dataset.chat;

  socket.addEventListener("open", () => {
    state.textContent = "";
    if (here) socket.tell({ type: ASK.OPEN, chat: here, seen: thread.seen });
    ghost?.again();
  });
  socket.addEventListener("lost", () => { state.textContent = "Reconnecting"; });
  socket.addEventListener("frame", ({ detail: frame }) => heard(frame));
  thread.addEventListener("grown", () => follow.grown());
  thread.addEventListener("reloaded", () => { busy(); if (socket.isOpen && here) socket.tell({ type: ASK.OPEN, chat: here, seen: thread.seen }); });
  thread.addEventListener("renewed", () => { busy(); follow.grown(); });
  thread.addEventListener("ask", ({ detail }) => withLanes(detail));
  thread.addEventListener("complaint", ({ detail }) => composer.complain(detail));
  picker.addEventListener("lane", ({ detail }) => lanes.toggle(detail));
  lanes.addEventListener("lanes", () => picker.mark(lanes));
  picker.mark(lanes);
  thread.addEventListener("do", ({ detail }) => act(detail));
  composer.addEventListener("send", ({ detail }) => send(detail));
  composer.addEventListener("wants", ({ detail }) => socket.tell({ type: ASK.SUGGEST, ...detail }));
  composer.addEventListener("images", () => picker.need({ images: composer.hasImages }));
  composer.addEventListener("edit-last", () => thread.lastQuestion && composer.edit(thread.lastQuestion));
  picker.addEventListener("closed", () => composer.focusText());
  document.addEventListener("click", ({ target }) => {
    const example = target.closest("[data-example]");
    if (example) composer.ask(example.dataset.example);
  });
  listen({
    Escape: stopLast,
    "Ctrl m": () => picker.open(),
    "Ctrl k": () => { toggleIndex(true); document.querySelector("[data-find]").focus(); },
    "/": () => composer.focusText(),
    n: () => location.assign("/"),
    j: () => step(1),
    k: () => step(-1),
    "[": () => version("Earlier version"),
    "]": () => version("Later version"),
    r: () => act({ action: "retry", item: current(".turn.answer") }),
    b: () => act({ action: "checkpoint", item: current(".turn.answer") }),
    m: () => here && location.assign(`/c/${here}/history/`),
    c: () => act({ action: "compare", item: current(".turn.answer") }),
    0: () => thread.board?.choose("tie"),
    x: () => thread.board?.choose("bad"),
    Enter: () => thread.board?.vote(),
    "+": () => thread.board?.add(),
    ArrowLeft: () => thread.board?.move(-1),
    ArrowRight: () => thread.board?.move(1),
    ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8].map((number) => [number, () => thread.board?.choose(number)])),
    "?": () => document.getElementById("keys-dialog").showModal(),
  });
  addEventListener("pagehide", () => composer.keep([...kept.values()].map(({ text }) => text)));
  busy();
  const wanted = location.hash.startsWith("#m-") ? location.hash.slice(3) : "";
  if (wanted && !thread.has(wanted)) thread.reload(wanted); // it stands on another branch
  else if (!wanted) follow.toEnd();
  if (new URLSearchParams(location.search).has("compare")) picker.openForSeveral();

  function heard(frame) {
    if (frame.type === TELL.STARTED || frame.type === TELL.COMPARED) {
      if (kept.get(frame.client_id)?.edits) edited.add(frame.run);
      kept.delete(frame.client_id);
    }
    if (frame.type === TELL.REFUSED) return refused(frame);
    if (frame.type === TELL.SUGGESTION) return ghost?.show(frame);
    if (frame.type === TELL.LANDED) return landed(frame);
    if (frame.type === TELL.OPENED) return opened(frame);
    if (frame.type === TELL.MOVED) return frame.chat === here && thread.moved(frame.tip);
    if (frame.type === TELL.CHANGED) return frame.chat === here && thread.reload();
    if (frame.type === TELL.ACCESS) return may(frame);
    if (frame.type === TELL.STARTED || frame.type === TELL.COMPARED) started(frame);
    if (frame.chat && here && frame.chat !== here) return;
    thread.apply(frame);
    if ([TELL.STARTED, TELL.COMPARED, TELL.SETTLED].includes(frame.type)) showLive(frame.chat, frame.type !== TELL.SETTLED);
    if (frame.type === TELL.SETTLED && edited.delete(frame.run)) thread.reload();
    if (frame.type === TELL.SETTLED && !frame.judged) say(frame.state === "done" ? "The answer is complete." : `The answer is ${frame.state}.`);
    busy();
  }

  // An answer from the background is there; who looks at it already needs no notice.
  function landed({ chat, answer, title, url, state }) {
    const words = `${state === "done" ? "An answer has landed" : "A background answer failed"} in “${title}”`;
    say(words);
    const item = document.getElementById(`m-${answer}`);
    if (item && inView(item)) return;
    const toast = document.getElementById("landed-template").content.firstElementChild.cloneNode(true);
    toast.querySelector("span").textContent = words;
    const show = toast.querySelector("a");
    show.href = `${url}#m-${answer}`;
    show.addEventListener("click", () => toast.remove());
    toast.querySelector("button").addEventListener("click", () => toast.remove());
    document.querySelector(".toast.landed")?.remove();
    document.body.append(toast);
    showLive(chat, false);
  }

  // Something happened while this tab was away: show the thread as it is now.
  function opened({ live, newest, may_write }) {
    access.hold(may_write, composer);
    if (live.some((message) => !thread.has(message)) || (thread.wasAway && newest && !thread.has(newest))) thread.reload();
    thread.wasAway = true;
  }

  function may(frame) {
    if (frame.chat !== here) return;
    if (!frame.may_read) here = "";
    access.changed(frame, { thread, composer });
  }

  function started(frame) {
    if (!here) {
      here = document.body.dataset.chat = frame.chat;
      thread.dataset.place = `${frame.url}place/`;
      history.replaceState(null, "", frame.url);
      document.getElementById("title").textContent = frame.title;
      document.title = `${frame.title} · Onepane`;
      document.querySelector("share-dialog").dataset.url = `${frame.url}share/`;
      document.querySelector("#rule form").action = `${frame.url}delete/`;
      document.getElementById("rule").hidden = false;
      Object.assign(document.getElementById("map"), { href: `${frame.url}history/`, hidden: false });
      addToIndex(frame);
    }
    say("An answer is being written.");
  }

  function refused({ client_id, cause, action }) {
    const given = client_id && kept.get(client_id);
    if (given) {
      thread.withdraw(client_id);
      composer.giveBack(given, { cause, action });
      thread.reload();
    } else composer.complain(`${cause} ${action}`);
    kept.delete(client_id);
    busy();
  }

  async function send(given) {
    if (!given.edits && thread.querySelector(".end.newer")) await thread.reload();
    const client_id = crypto.randomUUID?.() ?? uuid();
    const parent = given.edits ? given.edits.dataset.parent || null : here ? thread.tip : null;
    if (lanes.count === 1) return composer.giveBack(given, { cause: "One lane is no comparison.", action: "Choose another model with Compare several, or remove the lane." });
    kept.set(client_id, given);
    document.getElementById("empty")?.remove();
    thread.propose({ client_id, text: given.text, images: given.images, files: given.files.names, parent: parent ?? "" });
    const asked = { client_id, chat: here || null, parent, text: given.text, blobs: given.blobs, documents: given.documents, collections: given.collections, attached: given.files.attached, kept: given.files.kept, web: given.web, reasoning: given.reasoning, ...given.persona };
    const frame = lanes.isOn ? { type: ASK.COMPARE, ...asked, lanes: lanes.take(), blind: lanes.blind } : { type: ASK.SEND, ...asked, model: picker.model };
    picker.close();
    if (!socket.ask(frame)) state.textContent = "Offline: sent when the connection is back";
    picker.need({ images: false });
    follow.toEnd();
    busy(true);
  }

  function act({ action, item, to }) {
    if (action === "version" && to) return thread.reload(to);
    if (!item || (action !== "copy" && !composer.mayWrite)) return;
    const message = item.dataset.message;
    if (action === "stop") return socket.tell({ type: ASK.STOP, chat: here, message });
    if (action === "continue") return socket.tell({ type: ASK.CONTINUE, chat: here, message });
    if (action === "edit") return composer.edit(item);
    if (action === "copy") return copy(to);
    if (action === "retry") return picker.open((model) => retry(message, model), "Model of the next try");
    if (action === "lane-again") return join({ comparison: item.closest(".board").dataset.comparison, again: message });
    if (action === "compare") return compare(item);
    if (action === "checkpoint") return checkpoint(message);
  }

  // A flag at an answer: the thread shows it once the server has it.
  function checkpoint(message) {
    const dialog = document.getElementById("checkpoint-dialog");
    const form = dialog.querySelector("form[method=post]");
    form.reset();
    form.onsubmit = async (event) => {
      event.preventDefault();
      const body = new URLSearchParams(new FormData(form));
      body.set("message", message);
      const response = await fetch(`/c/${here}/checkpoints/`, { method: "POST", body, headers: { "X-CSRFToken": cookie("csrftoken") } }).catch(() => null);
      if (!response?.ok) return say("The checkpoint could not be set. Try again in a moment.");
      dialog.close();
      say("The checkpoint is set.");
      thread.reload();
    };
    dialog.showModal();
  }

  // The same question again, to this answer's model and others.
  function compare(item) {
    const question = document.getElementById(`m-${item.dataset.parent}`);
    if (!question) return;
    const model = item.querySelector("[data-do=compare]")?.dataset.model ?? "";
    if (!lanes.has(model)) lanes.set([picker.lane(model)]);
    composer.edit(question);
    picker.openForSeveral();
  }

  // What is wanted of lanes that were chosen in a comparison's table.
  function withLanes({ action, lanes: chosen, comparison, instruction, model, lane }) {
    if (!composer.mayWrite) return;
    if (action === "lanes-fuse") {
      const client_id = crypto.randomUUID?.() ?? uuid();
      socket.ask({ type: ASK.FUSE, client_id, chat: here, comparison, lanes: chosen.map(({ message }) => message), model, instruction });
      return;
    }
    if (action === "lane-add") return join({ comparison, ...lane });
    if (action === "lanes-diff") return location.assign(`/c/${here}/history/?a=${chosen[0].message}&b=${chosen[1].message}#changed`);
    if (chosen.length === 1) {
      lanes.set([]);
      picker.use(chosen[0].model);
      return thread.reload(chosen[0].message).then(() => composer.focusText());
    }
    lanes.set(chosen.map(({ message, model: name, asked }) => ({ ...picker.lane(name), ...asked, parent: message })), false); // blind, the way back would tell
    composer.focusText();
  }

  // One lane more, or a failed one again.
  function join(lane) {
    socket.ask({ type: ASK.LANE, client_id: crypto.randomUUID?.() ?? uuid(), chat: here, ...lane });
  }

  function retry(message, model) {
    socket.ask({ type: ASK.RETRY, client_id: crypto.randomUUID?.() ?? uuid(), chat: here, message, model });
    composer.focusText();
  }

  // The Markdown as the model wrote it.
  async function copy(address) {
    try {
      const response = await fetch(address);
      await navigator.clipboard.writeText(await response.text());
      say("Copied.");
    } catch {
      composer.complain("This browser lets pages copy over HTTPS alone. Select the text and copy it.");
    }
  }

  function stopLast() {
    const open = document.querySelector("dialog[open]");
    if (open) return open.close();
    const item = thread.live;
    const board = item?.closest(".board");
    const live = board ? board.querySelectorAll(".lane:is([data-state=running], [data-state=queued])") : item ? [item] : [];
    for (const one of live) act({ action: "stop", item: one });
  }

  function busy(now = Boolean(thread.live)) {
    composer.busy = now;
  }

  function current(selector) {
    return document.activeElement?.closest?.(selector) ?? [...thread.querySelectorAll(selector)].at(-1);
  }

  function step(by) {
    const turns = [...thread.querySelectorAll(".turn")];
    const at = turns.indexOf(document.activeElement?.closest?.(".turn"));
    turns.at(at < 0 ? -1 : Math.max(0, Math.min(turns.length - 1, at + by)))?.focus();
  }

  function version(label) {
    current(".turn")?.querySelector(`[aria-label="${label}"]`)?.click();
  }
}

function addToIndex({ chat: id, url, title }) {
  const chats = document.getElementById("chats");
  if (!chats || chats.querySelector(`[data-chat="${id}"]`)) return;
  const list = chats.querySelector("section:not(.theirs) ul") ?? newGroup(chats);
  const link = Object.assign(document.createElement("a"), { href: url });
  link.dataset.chat = id;
  link.setAttribute("aria-current", "page");
  link.append(Object.assign(document.createElement("span"), { textContent: title }));
  const item = document.createElement("li");
  item.append(link);
  list.prepend(item);
}

// The bar beside a chat in the index while an answer of it is being written.
function showLive(chat, live) {
  const link = document.querySelector(`#chats [data-chat="${chat}"]`);
  const bar = link?.querySelector(".live");
  if (live && link && !bar) link.append(Object.assign(document.createElement("i"), { className: "live", title: "An answer is being written" }));
  if (!live) bar?.remove();
}

function inView(item) {
  const { top, bottom } = item.getBoundingClientRect();
  return !document.hidden && bottom > 0 && top < innerHeight;
}

function newGroup(chats) {
  const section = document.createElement("section");
  section.append(Object.assign(document.createElement("h2"), { textContent: "Today" }), document.createElement("ul"));
  chats.append(section);
  return section.lastChild;
}

// crypto.randomUUID exists in secure contexts alone, and a workspace on a home network may have no TLS.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return [...bytes].map((byte, at) => ([4, 6, 8, 10].includes(at) ? "-" : "") + byte.toString(16).padStart(2, "0")).join("");
}
