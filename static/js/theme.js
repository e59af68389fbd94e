// Light, dark, or as the system has it: kept in a cookie, so that the server draws every page in it from the first paint.
const ORDER = ["", "light", "dark"];

export function next() {
  const root = document.documentElement;
  const theme = ORDER[(ORDER.indexOf(root.dataset.theme ?? "") + 1) % ORDER.length];
  root.dataset.theme = theme;
  document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=lax`;
  return theme || "as the system";
}
