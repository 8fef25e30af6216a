// Why a client does or doesn't connect: what `ikelb explain` prints (admin/explain_view.c), for the address in the
// URL's #client=, so that a link leads to it.

const EXPLAIN_ROWS = 8;
const explain = { asked: 0 };

function clientInHash() {
  const found = /^#client=(.*)$/.exec(location.hash);
  if (!found) return "";
  try {
    return decodeURIComponent(found[1]).trim();
  } catch {
    return found[1];
  }
}

function linkTo(address) {
  const link = make("a", "", address);
  link.href = `#client=${encodeURIComponent(address)}`;
  return link;
}

// "198.51.100.7:4500" or "[2001:db8::7]:4500" without the port.
function addressOf(endpoint) {
  return endpoint.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

function makeTitled(title, ...content) {
  return make("section", "", make("h4", "", title), ...content);
}

function listOf(rows, makeItem, tag = "ul") {
  const list = make(tag, "", ...rows.slice(0, EXPLAIN_ROWS).map((row) => make("li", "", ...makeItem(row))));
  if (rows.length <= EXPLAIN_ROWS) return [list];
  return [list, make("p", "faint", `${rows.length - EXPLAIN_ROWS} more; ikelb explain --json shows them.`)];
}

function nowWords(client) {
  const ports = ["500", "4500"].filter((port) => client.ports[port] !== null).map((port) => `${client.ports[port]} → ${port}`);
  return [`${client.service}/${client.backend}, ${[...ports, `idle ${duration(client.idle_s)}`].join(", ")}`];
}

function times(n, least, words) {
  return n >= least ? `${words} ${n} time${n === 1 ? "" : "s"}` : "";
}

function remarksOf(h) {
  const { client, server } = h.fragmentation;
  const announced = client === null ? ""
    : `IKE fragmentation: client ${client ? "yes" : "no"}${server === null ? "" : `, server ${server ? "yes" : "no"}`}`;
  return [
    h.rekeyed && "begun by rekeying, or before ikelb’s time",
    h.error && `the server’s error: ${h.error}`,
    times(h.init_count, 2, "IKE_SA_INIT came"),
    times(h.auth_count, 2, "an IKE_AUTH message came"),
    times(h.failovers, 1, "moved to another server"),
    times(h.roams, 1, "went on from another place"),
    announced,
    h.large_messages.in && "the client sent IP fragments",
    h.large_messages.out && "the server sent IP fragments",
  ].filter(Boolean);
}

// The ladder of one handshake: each stage that it reached with its time, and the first that it did not.
function ladderOf(h) {
  const names = ["init-sent", "init-answered", "auth-sent", "auth-answered", "established"];
  const reached = new Map(h.stages.map((stage) => [stage.stage, stage]));
  const furthest = Math.max(-1, ...names.map((name, i) => (reached.has(name) ? i : -1)));
  const list = make("ol", "ladder");
  names.forEach((name, i) => {
    const stage = reached.get(name);
    if (!stage && (h.rekeyed || i > furthest + 1)) return;
    const title = h.rekeyed && name === "auth-answered" ? "seen" : name;
    const item = make("li", "", makeIcon(stage ? "good" : "none"), make("b", "", title), make("span", "", stage ? ago(stage.ago_s) : i <= furthest ? "not seen" : "not reached"));
    item.dataset.tone = stage ? "good" : "none";
    if (stage) item.title = stage.at;
    list.append(item);
  });
  return list;
}

function handshakeItem(h) {
  const spis = [h.spi_i, h.spi_r].map((spi) => spi ?? "–").join(" ");
  const head = make("p", "", make("b", "", `${h.service}/${h.backend}`), `, client port ${h.port}${h.ended ? ", ended" : ""}`);
  const remarks = remarksOf(h);
  return [head, make("p", "faint spis", `SPIs ${spis}`), ladderOf(h), ...(remarks.length ? [make("p", "faint", `${remarks.join("; ")}.`)] : [])];
}

function explanationOf(document_) {
  const tone = document_.connected ? "good" : document_.verdict === "nothing-seen" ? "none" : "bad";
  const verdict = make("p", "verdict", makeIcon(tone), make("b", "", document_.verdict), ...(document_.ago_s === null ? [] : [` ${ago(document_.ago_s)}`]));
  verdict.dataset.tone = tone;
  const parts = [make("h3", "", document_.address), verdict, make("p", "", document_.summary)];
  if (document_.advice.length) parts.push(makeTitled("What to do", ...listOf(document_.advice, (line) => [line])));
  if (document_.clients.length) parts.push(makeTitled("Now", ...listOf(document_.clients, nowWords)));
  if (document_.handshakes.length) parts.push(makeTitled("Handshakes, the latest first", ...listOf(document_.handshakes, handshakeItem, "ol")));
  if (document_.moves.length)
    parts.push(makeTitled("Moves, the latest first", ...listOf(document_.moves, (m) => [linkTo(addressOf(m.from)), ` → `, linkTo(addressOf(m.to)), `, ${ago(m.ago_s)} (${m.from} → ${m.to})`])));
  if (document_.refusals.length)
    parts.push(makeTitled("Refused by ikelb", ...listOf(document_.refusals, (r) => [`${r.service}: ${r.reason}, ${count(r.count)} times, the latest ${ago(r.ago_s)}`])));
  return parts;
}

async function askAbout(address) {
  const asked = ++explain.asked;
  const state = byId("explain-state");
  byId("explain-address").value = address;
  setText(state, "Asking ikelb…");
  let parts = [];
  let words;
  try {
    const response = await fetch(`/api/v1/clients/${encodeURIComponent(address)}`, { cache: "no-store", signal: AbortSignal.timeout(10000) });
    const answer = await response.json();
    if (response.ok) parts = explanationOf(answer);
    words = response.ok ? `As of ${clockTime(new Date())}: ${answer.address} ${answer.verdict}.` : `ikelb says: ${answer.error}.`;
  } catch {
    words = "ikelb has not answered. Ask again.";
  }
  if (asked !== explain.asked) return; // Somebody has asked about another since.
  byId("explain-answer").replaceChildren(...parts);
  setHidden(byId("explain-answer"), parts.length === 0);
  setText(state, words);
}

function followHash() {
  const address = clientInHash();
  if (address) askAbout(address);
}

function startExplain() {
  byId("explain-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const address = byId("explain-address").value.trim();
    if (!address) return;
    if (clientInHash() === address) askAbout(address);
    else location.hash = `client=${encodeURIComponent(address)}`;
  });
  window.addEventListener("hashchange", followHash);
  followHash();
}
