// A toast goes after eight seconds, unless somebody points at it or is in it.

const STAYS = 8_000; // ms

export function toasts() {
  for (const toast of document.querySelectorAll(".toasts .toast")) {
    let timer = 0;
    const wait = () => { timer = setTimeout(() => toast.remove(), STAYS); };
    const hold = () => clearTimeout(timer);
    toast.addEventListener("pointerenter", hold);
    toast.addEventListener("focusin", hold);
    toast.addEventListener("pointerleave", wait);
    toast.addEventListener("focusout", wait);
    wait();
  }
}
