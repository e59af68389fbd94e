// One lane as a chip: its model, and what it is given besides. The composer's lanes are chips, and so is one that joins
// a comparison. A lane is {model, name, shape (SVG), parent, temperature, top_p, max_tokens, system, persona, configuration}.

const WHOLE = ["configuration", "persona"]; // ids

// ``changed`` is called when a setting was; without ``again`` or ``remove`` the chip has no such button.
export function laneChip(lane, { changed = () => {}, again, remove } = {}) {
  const chip = document.getElementById("lane-template").content.firstElementChild.cloneNode(true);
  chip.querySelector(".name").textContent = lane.name;
  chip.querySelector(".shape").innerHTML = lane.shape; // drawn by the server, for the picker
  button(chip.querySelector("[data-remove]"), remove);
  button(chip.querySelector("[data-again]"), again);
  chip.querySelector("[data-routed]")?.toggleAttribute("hidden", Boolean(lane.model));
  for (const field of chip.querySelectorAll("input, textarea, select")) tune(chip, lane, field, changed);
  tell(chip, lane);
  return chip;
}

// As a frame has it.
export function asked({ name, shape, ...lane }) {
  return lane;
}

// What can't be sent comes into view, and the browser says why.
export function isRight(chip) {
  const wrong = chip.querySelector(":invalid");
  if (!wrong) return true;
  wrong.closest("details").open = true;
  return wrong.reportValidity();
}

function button(one, deed) {
  if (deed) one.addEventListener("click", deed);
  else one.remove();
}

function tune(chip, lane, field, changed) {
  field.value = lane[field.name] ?? "";
  if (!field.value) delete lane[field.name]; // a persona or version that this reader has not
  field.addEventListener("input", () => {
    const isNumber = field.type === "number" || WHOLE.includes(field.name);
    if (field.value.trim()) lane[field.name] = isNumber ? Number(field.value) : field.value;
    else delete lane[field.name];
    tell(chip, lane);
    changed();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && field.type === "number") event.preventDefault();
    if (event.key !== "Escape") return;
    event.stopPropagation();
    field.closest("details").open = false;
    field.closest("details").querySelector("summary").focus();
  });
}

// What makes this lane differ.
function tell(chip, lane) {
  const version = chip.querySelector("[name=configuration]")?.selectedOptions[0];
  const persona = chip.querySelector("[name=persona]")?.selectedOptions[0];
  const told = [
    lane.temperature !== undefined && `t ${lane.temperature}`,
    lane.top_p !== undefined && `p ${lane.top_p}`,
    lane.max_tokens !== undefined && `≤ ${lane.max_tokens}`,
    persona?.value && persona.textContent,
    lane.system && "own instruction",
    version?.value && version.textContent,
  ].filter(Boolean);
  chip.querySelector(".set").textContent = told.join(" · ");
  chip.classList.toggle("tuned", told.length > 0);
}
