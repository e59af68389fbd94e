// What is done with a row of the map: the dialog of its deeds, checkpoints, and marking two rows for a difference.

const dialog = document.getElementById("row-dialog");
const flag = document.getElementById("flag-dialog");

// The dialog about one row; its forms carry the row's message, or the one its branch begins with.
export function rowDialog(map, row, { open = true } = {}) {
  const { message, start, name, starred, pruned, asks } = row.dataset;
  dialog.querySelector(".about").textContent = row.querySelector(".text").textContent;
  for (const field of dialog.querySelectorAll("[data-message]")) field.value = message;
  for (const field of dialog.querySelectorAll("[data-start]")) field.value = start;
  for (const form of dialog.querySelectorAll("[data-answer]")) form.hidden = asks !== undefined;
  const called = dialog.querySelector("input[name=name]");
  if (called) called.value = name ?? "";
  const star = dialog.querySelector("[data-star]");
  if (star) star.textContent = starred === undefined ? "Favourite" : "No favourite";
  for (const [value, hidden] of [["prune", pruned !== undefined], ["restore", pruned === undefined]]) {
    const button = dialog.querySelector(`button[name=do][value=${value}]`);
    if (button) button.hidden = hidden;
  }
  dialog.querySelector("[data-mark]").onclick = () => { dialog.close(); markRow(map, row); };
  keepBack();
  if (open) dialog.showModal();
}

// The first mark is the old one; with the second, what changed is fetched and stands beside the map.
export async function markRow(map, row) {
  const old = map.querySelector(".sel[data-marked]");
  if (!old) {
    for (const one of map.querySelectorAll(".sel")) unmark(one);
    say(row, "Old");
    row.dataset.marked = "";
    return announce("Marked as the old one. Mark the new one.");
  }
  if (old === row) return unmark(row);
  say(row, "New");
  delete old.dataset.marked;
  const query = new URLSearchParams(location.search);
  query.set("a", old.dataset.message);
  query.set("b", row.dataset.message);
  query.delete("of");
  const response = await fetch(`?${query}`).catch(() => null);
  if (!response?.ok) return announce("These two can't be compared.");
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  document.getElementById("changed").replaceChildren(...page.getElementById("changed").childNodes);
  history.replaceState(null, "", `?${query}`);
  announce("What changed stands beside the map.");
  if (innerWidth < 1280) document.getElementById("changed").scrollIntoView({ block: "start" });
}

export function showMarks(map) {
  for (const [id, word] of [[map.dataset.a, "Old"], [map.dataset.b, "New"]]) {
    const row = id && document.getElementById(`r-${id}`);
    if (row && map.contains(row)) say(row, word);
  }
}

function say(row, word) {
  row.classList.add("sel");
  Object.assign(row.querySelector(".ab"), { textContent: word, hidden: false });
}

function unmark(row) {
  row.classList.remove("sel");
  delete row.dataset.marked;
  row.querySelector(".ab").hidden = true;
}

function announce(words) {
  document.getElementById("announce").textContent = words;
}

// Every form leads back to the page as it is now.
function keepBack() {
  for (const field of document.querySelectorAll("input[name=back]")) field.value = location.search.slice(1);
}

function setFlag(message) {
  if (!flag) return;
  dialog.close();
  keepBack();
  flag.querySelector("form[method=post]").reset();
  flag.querySelector("input[name=message]").value = message;
  flag.showModal();
}

for (const button of document.querySelectorAll("[data-do=flag-here]")) {
  button.addEventListener("click", () => setFlag(button.dataset.message || button.value));
  button.addEventListener("for", ({ detail }) => setFlag(detail.dataset.message));
}
document.addEventListener("submit", keepBack, true);
