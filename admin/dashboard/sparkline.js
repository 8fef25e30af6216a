// Small charts of a rate over the last minutes: ten, or as many as the page has seen. The number stands beside each: they are for the shape alone.

const LINE_WIDTH = 120;
const LINE_HEIGHT = 28;
const LINE_BUCKETS = 60;

// What the width stands for: one, two, five or ten minutes.
function lineSpanMs(heldMs) {
  return [1, 2, 5, 10].map((minutes) => minutes * 60000).find((ms) => heldMs <= ms) ?? HISTORY_MS;
}

// The greatest value in each sixtieth of the time, the oldest first; null where nothing is known.
function buckets(history, column, nowMs) {
  const found = new Array(LINE_BUCKETS).fill(null);
  const spanMs = lineSpanMs(history.spanMs(nowMs));
  for (let i = history.at(nowMs - spanMs); i < history.length; i++) {
    const age = nowMs - history.time(i);
    if (age > spanMs) continue;
    const bucket = Math.min(LINE_BUCKETS - 1, Math.floor((1 - age / spanMs) * LINE_BUCKETS));
    const value = history.value(i, column);
    if (found[bucket] === null || value > found[bucket]) found[bucket] = value;
  }
  // Polls may be rarer than buckets, in a tab that nobody looks at: what is between two samples is as the first.
  let last = null;
  return found.map((value) => (last = value === null ? last : value));
}

function outline(values, peak) {
  let d = "";
  values.forEach((value, i) => {
    if (value === null) return;
    const x = ((i + 0.5) * LINE_WIDTH) / LINE_BUCKETS;
    const y = LINE_HEIGHT - 1 - (peak ? value / peak : 0) * (LINE_HEIGHT - 3);
    d += `${d ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return d;
}

// Draws one column as an area and, if there is one, a second as a line, to the same scale.
function drawLine(svg, history, areaColumn, strokeColumn, nowMs) {
  const area = buckets(history, areaColumn, nowMs);
  const stroke = strokeColumn === null ? [] : buckets(history, strokeColumn, nowMs);
  const peak = Math.max(0, ...area, ...stroke);
  const top = outline(area, peak);
  const first = area.findIndex((value) => value !== null);
  const left = ((first + 0.5) * LINE_WIDTH) / LINE_BUCKETS;
  const right = ((LINE_BUCKETS - 0.5) * LINE_WIDTH) / LINE_BUCKETS;
  setAttribute(svg.querySelector(".area"), "d", top ? `${top}L${right} ${LINE_HEIGHT}L${left} ${LINE_HEIGHT}Z` : "");
  if (strokeColumn !== null) setAttribute(svg.querySelector(".stroke"), "d", outline(stroke, peak));
}
