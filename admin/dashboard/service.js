// The services: each with its funnel and its servers; and the filter over all of them.

// Which rows can be seen; the others are not drawn. A thousand servers cost as much as those on the screen.
class Watcher {
  constructor(onSeen) {
    this.views = new Map();
    this.observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const view = this.views.get(entry.target);
        if (!view) continue;
        view.isVisible = entry.isIntersecting;
        if (view.isVisible) onSeen(view);
      }
    }, { rootMargin: "200px" });
  }

  observe(element, view) {
    this.views.set(element, view);
    this.observer.observe(element);
  }

  unobserve(element) {
    this.views.delete(element);
    this.observer.unobserve(element);
  }
}

class ServiceView {
  constructor(service, watcher) {
    this.status = service;
    this.element = copyOf("service-template");
    this.funnelView = new FunnelView();
    this.element.querySelector(".funnel-place").append(this.funnelView.element);
    this.title = this.element.querySelector("h3");
    this.title.id = `service-${ServiceView.made++}`;
    this.element.setAttribute("aria-labelledby", this.title.id);
    this.element.querySelector("table").setAttribute("aria-labelledby", this.title.id);
    setText(this.title, service.name);
    this.facts = this.element.querySelector(".facts");
    this.trafficTitle = this.element.querySelector(".traffic-title");
    this.body = this.element.querySelector("tbody");
    this.backends = new Map();
    this.watcher = watcher;
  }

  gone() {
    for (const view of this.backends.values()) view.gone();
  }

  take(service, nowMs, hasRestarted) {
    this.status = service;
    keepInStep(this.body, this.backends, service.backends, (b) => b.name,
      (b) => new BackendView(service, b, this.watcher));
    this.funnel = emptyFunnel();
    this.spanMs = 0;
    for (const backend of service.backends) {
      const view = this.backends.get(backend.name);
      view.service = service;
      view.take(backend, nowMs, hasRestarted);
      addToFunnel(this.funnel, view.history, nowMs);
      this.spanMs = Math.max(this.spanMs, view.history.spanMs(nowMs));
    }
  }

  update(nowMs) {
    const s = this.status;
    const up = s.backends.filter((b) => b.health !== "down" && !b.suspect && b.state === "enabled" && !b.removed).length;
    const clients = s.backends.reduce((sum, b) => sum + b.clients, 0);
    const facts = [s.vip.join(", "), s.mode, s.schedule, countOf(clients, "client"), `${up} of ${countOf(s.backends.length, "server")} take new ones`];
    if (s.removed) facts.unshift("removed from the file, and drained");
    if (s.failovers_total) facts.push(`${countOf(s.failovers_total, "handshake")} went on to another server`);
    if (s.roams_total.mobike || s.roams_total.rebind) facts.push(`${count(s.roams_total.mobike)} changes of address and ${count(s.roams_total.rebind)} of port followed`);
    if (s.conflicts_total) facts.push(countOf(s.conflicts_total, "conflict"));
    setText(this.facts, facts.join(" · "));
    setAttribute(this.element, "data-tone", s.alarms.length ? "bad" : "");
    this.funnelView.update(this.funnel, s.mode, this.spanMs);
    setText(this.trafficTitle, `Traffic, ${spanWords(lineSpanMs(this.spanMs))}`);
    for (const view of this.backends.values()) view.update(nowMs);
  }

  // Shows the rows that fit; how many.
  filter(words, onlyTrouble) {
    let shown = 0;
    for (const view of this.backends.values()) {
      const fits = view.matches(words) && (!onlyTrouble || view.needsAttention(this.status.mode));
      view.setShown(fits);
      if (fits) shown++;
    }
    setHidden(this.element, shown === 0);
    return shown;
  }
}
ServiceView.made = 0;

class ServicesView {
  constructor() {
    this.services = new Map();
    this.nowMs = 0;
    this.watcher = new Watcher((view) => view.update(this.nowMs));
    byId("filter").addEventListener("input", () => this.filter());
    byId("filter-trouble").addEventListener("change", () => this.filter());
    for (const chosen of ["window", "start"])
      byId(`span-${chosen}`).addEventListener("click", () => {
        span.chosen = chosen;
        this.update();
      });
  }

  take(services, nowMs, hasRestarted) {
    this.nowMs = nowMs;
    keepInStep(byId("service-list"), this.services, services, (s) => s.name, (s) => new ServiceView(s, this.watcher));
    for (const service of services) this.services.get(service.name).take(service, nowMs, hasRestarted);
    setHidden(byId("service-none"), true);
    this.filter();
    this.update();
  }

  update() {
    let isAnyWindow = false;
    let spanMs = 0;
    for (const view of this.services.values()) {
      view.update(this.nowMs);
      isAnyWindow ||= isWindow(view.funnel);
      spanMs = Math.max(spanMs, view.spanMs);
    }
    setText(byId("span-window"), `Last ${spanWords(spanMs)}`);
    setAttribute(byId("span-window"), "aria-pressed", String(span.chosen ? span.chosen === "window" : isAnyWindow));
    setAttribute(byId("span-start"), "aria-pressed", String(span.chosen ? span.chosen === "start" : !isAnyWindow));
  }

  filter() {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const onlyTrouble = byId("filter-trouble").checked;
    let shown = 0;
    let all = 0;
    for (const view of this.services.values()) {
      shown += view.filter(words, onlyTrouble);
      all += view.backends.size;
    }
    setText(byId("filter-count"), words.length || onlyTrouble ? `${count(shown)} of ${countOf(all, "server")}` : "");
  }

  // Everything that depends on whether there is a token.
  updateActions() {
    for (const service of this.services.values())
      for (const backend of service.backends.values()) backend.updateActions();
  }

  // The sum of something over all backends.
  sum(key) {
    let total = 0;
    for (const service of this.services.values())
      for (const backend of service.status.backends) total += backend[key];
    return total;
  }

  // {now, settled, ...} of all services together.
  funnel() {
    const all = emptyFunnel();
    for (const service of this.services.values())
      for (const key of Object.keys(all)) service.funnel[key].forEach((n, i) => (all[key][i] += n));
    return all;
  }
}
