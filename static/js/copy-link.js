// <copy-link>: a link whose address is copied; where the browser lets no page copy, it is a link as any other.

export function copyLink() {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("copy-link > a");
    if (!link || !navigator.clipboard) return;
    event.preventDefault();
    await navigator.clipboard.writeText(link.href);
    document.getElementById("announce").textContent = "The link is copied.";
    const words = link.textContent;
    link.textContent = "Copied";
    setTimeout(() => { link.textContent = words; }, 2_000);
  });
}
