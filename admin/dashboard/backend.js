// A server's row, and what unfolds below it.

const GAUGES = ["rx_bps", "tx_bps"];
const IN_COLUMN = HANDSHAKE_COUNTERS.length;
const OUT_COLUMN = IN_COLUMN + 1;

// Tone and words of operator state and health together; `trouble` if somebody should look.
function judgeBackend(b) {
  const left = b.clients ? `${countOf(b.clients, "client")} left` : "";
  const health = b.suspect ? `${b.health}, ${b.suspect}` : b.health;
  const isIll = b.health === "down" || Boolean(b.suspect);
  const tone = isIll ? "bad" : b.health === "up" ? "good" : "none";
  if (b.removed) return { tone: "wait", trouble: true, words: `removed, ${left || "drained"}; ${health}` };
  if (b.state === "drain") return { tone: "wait", trouble: true, words: left ? `draining, ${left}; ${health}` : `drained; ${health}` };
  if (b.state === "disabled") return { tone: "none", trouble: false, words: `disabled${left && `, ${left}`}; ${health}` };
  return { tone, trouble: isIll, words: health };
}

function fragmentationWords(value) {
  if (value === null || value === undefined) return "–";
  return value ? "yes" : "no";
}

// The handshakes of one server as five small bars.
function drawSteps(path, counts) {
  const most = Math.max(1, ...counts.slice(0, STEPS.length));
  let d = "";
  STEPS.forEach((_, i) => {
    const height = (counts[i] / most) * 19;
    if (height) d += `M${i * 8} 20v${-Math.max(1, height).toFixed(1)}h7V20z`;
  });
  setAttribute(path, "d", d);
}

class BackendView {
  constructor(service, backend, watcher) {
    this.service = service;
    this.status = backend;
    this.history = new History(HANDSHAKE_COUNTERS.length, GAUGES.length);
    this.isVisible = false;
    this.element = copyOf("backend-template");
    const part = (selector) => this.element.querySelector(selector);
    this.cells = {
      button: part(".more"), state: part(".state"), words: part(".state .words"), weight: part(".weight"),
      clients: part(".clients"), line: part(".line"), in: part(".in"), out: part(".out"), steps: part(".steps .kept"),
      shakes: part(".shakes"), through: part(".shakes .words"), probe: part(".probe"),
      fragmentation: part(".fragmentation"), change: part("td.change"),
    };
    setText(part(".name"), backend.name);
    this.address = part(".address");
    this.cells.button.addEventListener("click", () => this.toggle());
    this.watcher = watcher;
    watcher.observe(this.element, this);
  }

  gone() {
    this.watcher.unobserve(this.element);
    this.details?.row.remove();
  }

  moved() {
    if (this.details) this.element.after(this.details.row);
  }

  take(backend, nowMs, hasRestarted) {
    this.status = backend;
    const counters = HANDSHAKE_COUNTERS.map((key) => backend.handshakes[key]);
    this.history.add(nowMs, [...counters, ...GAUGES.map((key) => backend[key])], hasRestarted);
    this.funnel = emptyFunnel();
    addToFunnel(this.funnel, this.history, nowMs);
  }

  // What can be found by typing it.
  matches(words) {
    const b = this.status;
    const text = `${this.service.name} ${b.name} ${b.address} ${b.state} ${judgeBackend(b).words}`.toLowerCase();
    return words.every((word) => text.includes(word));
  }

  needsAttention(mode) {
    const finding = findingOf(this.funnel, mode, HISTORY_MS);
    return judgeBackend(this.status).trouble || finding.tone === "bad" || this.status.fragmentation === false;
  }

  setShown(isShown) {
    setHidden(this.element, !isShown);
    if (this.details) setHidden(this.details.row, !isShown || !this.isOpen);
  }

  // Rows that nobody sees wait until somebody does.
  update(nowMs) {
    if (!this.isVisible) return;
    const b = this.status;
    const c = this.cells;
    const state = judgeBackend(b);
    const finding = findingOf(this.funnel, this.service.mode, this.history.spanMs(nowMs));
    const counts = finding.window ? this.funnel.now : this.funnel.start;
    setText(this.address, b.address);
    setTone(c.state, state.tone);
    setText(c.words, state.words);
    setText(c.weight, count(b.weight));
    setText(c.clients, count(b.clients));
    setText(c.in, `in ${rate(b.rx_bps, "bit/s")}`);
    setText(c.out, `out ${rate(b.tx_bps, "bit/s")}`);
    setAttribute(c.shakes, "data-tone", finding.step === null ? "none" : finding.tone);
    setText(c.through, counts[0] ? `${count(Math.min(counts[0], counts[STEPS.length - 1]))} of ${count(counts[0])}` : "none");
    drawSteps(c.steps, counts);
    setText(c.probe, typeof b.probe_ms === "number" ? `${b.probe_ms.toFixed(1)} ms` : "–");
    setAttribute(c.fragmentation, "data-tone", b.fragmentation === false ? "warn" : "");
    setText(c.fragmentation, fragmentationWords(b.fragmentation));
    drawLine(c.line, this.history, IN_COLUMN, OUT_COLUMN, nowMs);
    this.updateActions();
    if (this.isOpen) this.updateDetails(nowMs);
  }

  updateActions() {
    const wanted = changes.token ? actionsOn(this.status) : [];
    if (this.actions === wanted.join()) return;
    this.actions = wanted.join();
    // The button that was used may vanish with what it did: the keyboard goes on at its neighbour.
    const hadFocus = this.cells.change.contains(document.activeElement);
    this.cells.change.replaceChildren(...wanted.map((action) => {
      const button = make("button", "", ACTIONS[action].verb);
      button.type = "button";
      button.setAttribute("aria-label", `${ACTIONS[action].verb} ${this.status.name} of ${this.service.name}`);
      button.addEventListener("click", () => askAboutChange(this.service, this.status, action));
      return button;
    }));
    if (hadFocus) this.cells.change.querySelector("button")?.focus();
  }

  toggle() {
    this.isOpen = !this.isOpen;
    if (!this.details) this.makeDetails();
    setAttribute(this.cells.button, "aria-expanded", String(this.isOpen));
    setHidden(this.details.row, !this.isOpen);
    if (this.isOpen) this.updateDetails(performance.now());
  }

  makeDetails() {
    const row = make("tr", "details");
    const cell = make("td", "");
    const funnel = new FunnelView();
    const figures = make("dl", "pairs");
    const note = make("p", "note");
    row.dataset.belongs = "yes";
    row.setAttribute("role", "row");
    cell.setAttribute("role", "cell");
    cell.colSpan = 9;
    cell.append(funnel.element, figures, note);
    row.append(cell);
    this.element.after(row);
    this.details = { row, funnel, figures, note };
  }

  updateDetails(nowMs) {
    const b = this.status;
    const h = b.handshakes;
    this.details.funnel.update(this.funnel, this.service.mode, this.history.spanMs(nowMs));
    setPairs(this.details.figures, [
      ["New clients", count(b.new_clients_total)],
      ["INIT never answered", count(h.unanswered)],
      ["Stalled after the answer", count(h.stalled)],
      ["AUTH never answered", count(h.auth_unanswered)],
      ["Messages over one packet, in", count(h.large_in)],
      ["Messages over one packet, out", count(h.large_out)],
      ["Packets in", `${count(b.rx_packets)}, now ${rate(b.rx_pps, "/s")}`],
      ["Packets out", `${count(b.tx_packets)}, now ${rate(b.tx_pps, "/s")}`],
    ]);
    setHidden(this.details.note, b.fragmentation !== false);
    setText(this.details.note, `${b.name} does not announce IKEV2_FRAGMENTATION_SUPPORTED: large certificates fail wherever IP fragments are dropped; on Windows set EnableServerFragmentation = 1, with strongSwan fragmentation = yes.`);
  }
}

// Term and text, pair by pair; the elements stay, whatever changes.
function setPairs(list, pairs) {
  while (list.children.length > pairs.length) list.lastElementChild.remove();
  while (list.children.length < pairs.length) list.append(make("div", "", make("dt", ""), make("dd", "")));
  pairs.forEach(([term, text], i) => {
    setText(list.children[i].firstElementChild, term);
    setText(list.children[i].lastElementChild, text);
  });
}
