// One exported file: images come from a table inside it, the part after # says what is shown.
const images = JSON.parse(document.getElementById("images").textContent);
window.imageOf = (key) => images[key];

const fill = (root) => {
  for (const image of root.querySelectorAll("img[data-image]")) {
    if (!image.hasAttribute("src")) image.src = images[image.dataset.image];
  }
};

function route() {
  const stories = [...document.querySelectorAll("[data-story]")];
  const run = document.getElementById("run-view");
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1))) ?? document.getElementById(location.hash.slice(1));
  const story = target?.closest("[data-story]") ?? (document.getElementById("live") ? null : stories[0]);
  for (const one of stories) one.hidden = one !== story;
  run.hidden = Boolean(story);
  if (story) {
    fill(story);
    window.showStages();
  }
  if (target) target.scrollIntoView();
  else scrollTo(0, 0);
}
addEventListener("hashchange", route);

document.getElementById("filter-rows")?.addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of document.querySelectorAll("tr[data-text]")) {
    const text = row.dataset.text.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  document.getElementById("filter-count").textContent = words.length ? `${shown} shown` : "";
});
route();
