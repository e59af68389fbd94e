// What the reader may do in the open chat changed while it was open.

export function changed({ chat, may_read, may_write, cause, action }, { thread, composer }) {
  if (!may_read) takeAway(chat, `${cause} ${action}`, { thread, composer });
  else hold(may_write, composer);
}

// A page drawn for another right is drawn again; the draft is kept, as at every reload.
export function hold(may_write, composer) {
  if (may_write !== composer.mayWrite) location.reload();
}

// The words go too: what may not be read any more does not stay on the screen.
function takeAway(chat, words, { thread, composer }) {
  const said = document.createElement("p");
  said.className = "tell warn";
  said.setAttribute("role", "alert");
  said.textContent = words;
  thread.replaceChildren(said);
  composer.closest(".dock").hidden = true;
  document.getElementById("rule").hidden = true;
  document.getElementById("shared").textContent = "";
  document.getElementById("title").textContent = document.title = "Not here any more";
  const item = document.querySelector(`#chats [data-chat="${chat}"]`)?.closest("li");
  (item?.parentElement.children.length === 1 ? item.closest("section") : item)?.remove();
}
