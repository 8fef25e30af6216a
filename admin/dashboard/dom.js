// The page's elements. Text goes in as text, never as markup: what ikelb tells of may have been named by anybody.

const byId = (id) => document.getElementById(id);

// What stands there already is not written again: a poll that brings nothing new costs no layout, and a screen reader
// has nothing to repeat.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function setHidden(element, isHidden) {
  if (element.hidden !== isHidden) element.hidden = isHidden;
}

// Tones are good, bad, warn, wait and none: each is a colour and a symbol, and stands beside words.
function setTone(element, tone) {
  setAttribute(element, "data-tone", tone);
  const use = element.querySelector(":scope > .icon > use");
  if (use) setAttribute(use, "href", `#icon-${tone}`);
}

function copyOf(templateId) {
  return byId(templateId).content.firstElementChild.cloneNode(true);
}

// An element with text, or with the children given.
function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

function makeIcon(tone) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${tone}`);
  svg.append(use);
  return svg;
}

// Says something to those who hear the page instead of seeing it.
function announce(text) {
  setText(byId("news"), text);
}

// Keeps a list of elements in step with keyed items: makes those that are new, removes those that are gone, and moves
// only what stands in the wrong place. `known` is a Map of key -> object with `.element`, which the caller keeps, and
// perhaps with `gone` and `moved`, which are called then.
function keepInStep(parent, known, items, keyOf, create) {
  const wanted = new Set(items.map(keyOf));
  for (const [key, one] of known) {
    if (wanted.has(key)) continue;
    one.element.remove();
    one.gone?.();
    known.delete(key);
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (!known.has(key)) known.set(key, create(item));
    const one = known.get(key);
    if (one.element === place) place = place.nextElementSibling;
    else {
      parent.insertBefore(one.element, place);
      one.moved?.();
    }
    // What belongs to an element, as an unfolded row does, follows it.
    while (place && place.dataset.belongs) place = place.nextElementSibling;
  }
}
