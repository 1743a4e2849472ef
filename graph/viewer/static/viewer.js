// What HTML alone cannot do: keys that press what is marked with data-key, and the stage of images (swipe, zoom, addresses).
// Everything else is links, forms and htmx. A page that is swapped in by htmx needs no set-up: all listeners sit on the document.
// It runs before the page is drawn, so that no key of a quick reviewer is lost: what is pressed earlier waits for the whole page.
"use strict";

const typing = (element) => element.matches("input:not([type=radio], [type=checkbox], [type=range]), textarea, select");

let leaving = false; // a form was sent and its answer is on its way: another key would answer for this page a second time
document.addEventListener("submit", (event) => { leaving = !event.defaultPrevented; });
addEventListener("pageshow", () => { leaving = false; });

document.addEventListener("keydown", (event) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => press(event), { once: true });
  else press(event);
});

function press(event) {
  if (leaving || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const stage = document.querySelector("[data-stage]:not([hidden] *)");
  if (stage && "[]+-=".includes(event.key)) {
    const select = stage.querySelector(event.key === "[" || event.key === "]" ? "[name=image]" : "[name=zoom]");
    if (!select) return;
    const step = event.key === "[" || event.key === "-" ? -1 : 1;
    select.selectedIndex = Math.min(select.options.length - 1, Math.max(0, select.selectedIndex + step));
    select.dispatchEvent(new Event("change", { bubbles: true }));
    return;
  }
  const rows = [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent);
  if (rows.length && (event.key === "n" || event.key === "p")) {
    const at = rows.findIndex((row) => row.closest("tr").contains(document.activeElement));
    const next = rows[at < 0 ? 0 : at + (event.key === "n" ? 1 : -1)];
    if (next) next.focus();
    return;
  }
  const found = [...document.querySelectorAll(`[data-key="${CSS.escape(event.key)}"]`)].find((one) => !one.disabled && !one.closest("[hidden]"));
  if (!found) return;
  event.preventDefault();
  if (found.matches("input:not([type=radio])")) found.focus();
  else found.click();
}

// A filter that is changed before htmx listens to it counts as soon as it does.
let changed = null;
const remember = (event) => { changed = event.target; };
document.addEventListener("input", remember);
document.addEventListener("htmx:after:process", () => {
  document.removeEventListener("input", remember);
  changed?.dispatchEvent(new Event("input", { bubbles: true }));
}, { once: true });

// The stage -----------------------------------------------------------------------------------------------------------

const source = (element, prefix) => element?.getAttribute(`data-${prefix}src`) ?? window.imageOf?.(element?.getAttribute(`data-${prefix}image`));

function show(stage) {
  const form = stage.querySelector("form");
  if (!form) return;
  const fields = form.elements;
  const image = fields.image.selectedOptions[0], against = fields.with.selectedOptions[0];
  const view = fields.view.value, zoom = fields.zoom.value;
  stage.dataset.view = view;
  const set = (name, address) => {
    const element = stage.querySelector(`.layers .${name}`);
    if (address && element.getAttribute("src") !== address) element.setAttribute("src", address);
  };
  set("under", view === "normal" ? source(fields.with.options[0], "") : source(against, ""));
  set("over", source(image, ""));
  set("mask", source(image, "mask-"));
  const layers = stage.querySelector(".layers");
  layers.classList.toggle("enlarged", zoom !== "fit");
  layers.classList.toggle("pixels", Number(zoom) >= 2);
  layers.style.width = zoom === "fit" ? "" : `${stage.querySelector(".over").getAttribute("width") * Number(zoom)}px`;
  const words = {
    anomaly: image.label, marked: `${image.label}, what is outside its mask darkened`, normal: "the normal photo",
    mask: `mask of ${image.label}`, difference: `difference of ${image.label} and ${against.label}, four times enhanced`,
    swipe: `left ${against.label}, right ${image.label}; drag, or use the slider`,
  };
  stage.querySelector(".caption").textContent = image.dataset.problem || words[view];
}

document.addEventListener("change", (event) => {
  const stage = event.target.closest("[data-stage]");
  const form = event.target.closest("form.stage-tools");
  if (!stage || !form) return;
  show(stage);
  if (window.imageOf) return; // one exported file: its address names the trajectory
  const address = new URL(location.href);
  for (const [name, value] of new FormData(form)) address.searchParams.set(name, value);
  history.replaceState(history.state, "", address);
});

document.addEventListener("input", (event) => {
  if (event.target.matches(".slider input")) {
    event.target.closest("[data-stage]").querySelector(".layers").style.setProperty("--swipe", `${event.target.value}%`);
  }
});

const drag = (event) => {
  const layers = event.target.closest?.("[data-view=swipe] .layers");
  if (!layers || !(event.buttons & 1)) return;
  const box = layers.getBoundingClientRect();
  const slider = layers.closest("[data-stage]").querySelector(".slider input");
  slider.value = (100 * (event.clientX - box.left)) / box.width;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  event.preventDefault();
};
document.addEventListener("pointerdown", drag);
document.addEventListener("pointermove", drag);
document.addEventListener("dragstart", (event) => event.target.closest?.(".layers") && event.preventDefault());

window.showStages = () => document.querySelectorAll("[data-stage]").forEach(show);
document.addEventListener("DOMContentLoaded", window.showStages);
