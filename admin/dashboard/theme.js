// Light, dark, or as the system has it. Kept in the browser, if it lets us.

const THEMES = { auto: "automatic", light: "light", dark: "dark" };
const THEME_KEY = "ikelb-colours";

function readTheme() {
  try {
    const kept = localStorage.getItem(THEME_KEY);
    return kept in THEMES ? kept : "auto";
  } catch {
    return "auto";
  }
}

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  setText(byId("theme"), `Colours: ${THEMES[theme]}`);
}

function startTheme() {
  const names = Object.keys(THEMES);
  let theme = readTheme();
  applyTheme(theme);
  byId("theme").addEventListener("click", () => {
    theme = names[(names.indexOf(theme) + 1) % names.length];
    applyTheme(theme);
    try {
      localStorage.setItem(THEME_KEY, theme);
    } catch {
      // A browser that keeps nothing forgets it with the page.
    }
  });
}
