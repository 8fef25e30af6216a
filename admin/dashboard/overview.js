// The top of the page: alarms, sums, tables, drops.

const overview = {
  rates: new History(0, 2),
  drops: null, // History of all reasons, made with the first answer
  alarms: new Map(),
};

// One alarm; its service is named before it.
function makeAlarm(alarm) {
  const element = make("li", "", makeIcon("bad"), make("span", "", make("strong", "", alarm.service), ": ", alarm.text));
  element.dataset.tone = "bad";
  return { element };
}

// Says what is new, and that the last is gone; an alarm that stays is said once.
function announceAlarms(before, now) {
  const fresh = now.filter((key) => !before.has(key));
  if (fresh.length) announce(fresh.map((key) => `Alarm: ${key}.`).join(" "));
  else if (before.size > now.length) announce(now.length ? `${countOf(now.length, "alarm")} left.` : "No alarm is left.");
}

function showAlarms(status) {
  const alarms = status.services.flatMap((s) => s.alarms.map((text) => ({ service: s.name, text })));
  const keyOf = (alarm) => `${alarm.service}: ${alarm.text}`;
  const before = new Set(overview.alarms.keys());
  keepInStep(byId("alarm-list"), overview.alarms, alarms, keyOf, makeAlarm);
  announceAlarms(before, alarms.map(keyOf));
  setHidden(byId("alarms-none"), alarms.length > 0);
  setText(byId("alarms-none"), "None.");
  const title = `${alarms.length ? `(${alarms.length}) ` : ""}ikelb ${location.host}`;
  if (document.title !== title) document.title = title;
}

function showSums(status, services, nowMs) {
  const { pins } = status.tables;
  overview.rates.add(nowMs, [services.sum("rx_bps"), services.sum("tx_bps")], false);
  setText(byId("clients"), count(pins.entries));
  setText(byId("clients-of"), `of ${count(pins.capacity)}`);
  const finding = services.funnel();
  const window = isWindow(finding);
  const counts = window ? finding.now : finding.start;
  setText(byId("through"), counts[0] ? count(Math.min(counts[0], counts[STEPS.length - 1])) : "–");
  setText(byId("through-of"), `${counts[0] ? `of ${countOf(counts[0], "handshake")}` : "no handshakes"}, ${window ? `last ${spanWords(overview.rates.spanMs(nowMs))}` : "since start"}`);
  setText(byId("in-bits"), rate(services.sum("rx_bps"), "bit/s"));
  setText(byId("in-packets"), rate(services.sum("rx_pps"), "packets/s"));
  setText(byId("out-bits"), rate(services.sum("tx_bps"), "bit/s"));
  setText(byId("out-packets"), rate(services.sum("tx_pps"), "packets/s"));
  drawLine(byId("in-line"), overview.rates, 0, null, nowMs);
  drawLine(byId("out-line"), overview.rates, 1, null, nowMs);
}

// "98 %" and what of; without packets the mode alone; and the first of the interfaces that are not served, or why there is none.
function showFastPath(fastpath, fast, all) {
  const isUsed = fastpath.mode !== "off" && all > 0;
  const share = Math.round((100 * fast) / all);
  const within = fast > 0 && fast < all ? Math.min(Math.max(share, 1), 99) : share;
  const troubles = fastpath.interfaces.filter((one) => one.trouble);
  const words = [isUsed ? `of packets, ${fastpath.mode}` : fastpath.mode === "off" ? fastpath.trouble : "no packets now"];
  if (troubles.length) words.push(`not on ${troubles[0].name} (${troubles[0].trouble})${troubles.length > 1 ? ` and ${troubles.length - 1} more` : ""}`);
  setText(byId("fast"), isUsed ? `${within} %` : fastpath.mode);
  setText(byId("fast-of"), words.filter(Boolean).join("; "));
}

function showTables(tables) {
  setPairs(byId("tables"), Object.entries(tables).map(([name, table]) => {
    const share = table.capacity ? (100 * table.entries) / table.capacity : 0;
    const words = table.entries && share < 1 ? "under 1" : share.toFixed(0);
    return [name, `${count(table.entries)} of ${count(table.capacity)} (${words} %)`];
  }));
}

function showDrops(drops, nowMs, hasRestarted) {
  const reasons = Object.keys(drops);
  if (overview.drops?.counters !== reasons.length) overview.drops = new History(reasons.length, 0);
  const history = overview.drops;
  history.add(nowMs, reasons.map((reason) => drops[reason]), hasRestarted);
  const rows = reasons.map((reason, i) => ({ reason, total: drops[reason], recent: history.growth(i, nowMs - HISTORY_MS, nowMs) }))
    .filter((row) => row.total || row.recent);
  const body = byId("drops").querySelector("tbody");
  while (body.children.length > rows.length) body.lastElementChild.remove();
  while (body.children.length < rows.length) {
    const head = make("th", "");
    head.scope = "row";
    body.append(make("tr", "", head, make("td", "number"), make("td", "number")));
  }
  rows.forEach((row, i) => [row.reason, count(row.recent), count(row.total)].forEach((text, j) => setText(body.children[i].children[j], text)));
  const last = `last ${spanWords(history.spanMs(nowMs))}`;
  setText(byId("drops-window"), last);
  setHidden(byId("drops"), rows.length === 0);
  setHidden(byId("drops-none"), rows.length > 0);
  setText(byId("dropped"), count(rows.reduce((sum, row) => sum + row.recent, 0)));
  setText(byId("dropped-of"), `packets, ${last}; ${count(rows.reduce((sum, row) => sum + row.total, 0))} since start`);
}

function showOverview(status, services, nowMs, hasRestarted) {
  setText(byId("about"), `${status.version} on ${location.host}, up ${duration(status.uptime_s)}`);
  showAlarms(status);
  showSums(status, services, nowMs);
  showFastPath(status.fastpath, services.sum("fast_pps"), services.sum("rx_pps") + services.sum("tx_pps"));
  showTables({ ...status.tables, "fast path": status.fastpath });
  showDrops(status.drops, nowMs, hasRestarted);
}
