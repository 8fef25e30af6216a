// Draining, enabling and disabling servers: only with a token, and only after a question.

const TOKEN_KEY = "ikelb-token";
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

const changes = {
  token: "",
  pending: null, // what the dialog asks about: {service, backend, action}
  onToken: () => {},
  onChanged: () => {},
};

const ACTIONS = {
  drain: { verb: "Drain", done: (b) => `${b.backend} is being drained: ${countOf(b.clients, "client")} left.` },
  enable: { verb: "Enable", done: (b) => `${b.backend} is enabled.` },
  disable: { verb: "Disable", done: (b) => `${b.backend} is disabled: ${countOf(b.clients, "client")} left.` },
};

// What an operator can do with a backend in some state.
const ACTIONS_IN = { enabled: ["drain", "disable"], drain: ["enable", "disable"], disabled: ["enable", "drain"] };

// One that a reload has taken out of the file is not enabled again from here.
function actionsOn(backend) {
  return (ACTIONS_IN[backend.state] || []).filter((action) => action !== "enable" || !backend.removed);
}

function keptToken() {
  try {
    return sessionStorage.getItem(TOKEN_KEY) || "";
  } catch {
    return "";
  }
}

function keepToken(token) {
  try {
    if (token) sessionStorage.setItem(TOKEN_KEY, token);
    else sessionStorage.removeItem(TOKEN_KEY);
  } catch {
    // Then it lives as long as the page.
  }
}

function setToken(token, isKept) {
  changes.token = token;
  keepToken(isKept ? token : "");
  byId("token").value = "";
  setHidden(byId("token-open"), Boolean(token));
  setHidden(byId("token-forget"), !token);
  document.body.classList.toggle("may-change", Boolean(token));
  changes.onToken();
}

function showError(id, text) {
  setText(byId(id), text);
  setHidden(byId(id), !text);
}

function askForToken(error = "") {
  showError("token-error", error);
  setHidden(byId("token-plain"), location.protocol !== "http:" || LOOPBACK.test(location.hostname));
  byId("token-dialog").showModal();
}

// How many other servers of the service would take new clients.
function othersThatTake(service, backend) {
  return service.backends.filter(
    (b) => b.name !== backend.name && b.state === "enabled" && !b.removed && b.health !== "down").length;
}

function consequence(action, { name, clients, health }) {
  const has = clients ? `Its ${countOf(clients, "client")}` : "It has no clients";
  if (action === "enable")
    return `${name} gets new clients again${health === "down" ? " as soon as its probes are answered: it is down" : ""}. ${clients ? `${has} stay.` : ""}`;
  const others = "New clients go to other servers.";
  if (!clients) return `${has}. ${others}`;
  if (action === "drain") return `${has} stay, with their tunnels and when they connect again, until they leave by themselves. ${others}`;
  return `${has} keep their tunnels, but whoever connects again goes to another server. ${others}`;
}

function askAboutChange(service, backend, action) {
  const { verb } = ACTIONS[action];
  const others = othersThatTake(service, backend);
  changes.pending = { service: service.name, backend: backend.name, action };
  setText(byId("change-title"), `${verb} ${backend.name} of ${service.name}?`);
  setText(byId("change-text"), `${consequence(action, backend)} The configuration file stays as it is.`);
  setText(byId("change-confirm"), `${verb} ${backend.name}`);
  setText(byId("change-warning"), `No other server of ${service.name} takes new clients: they will be dropped.`);
  setHidden(byId("change-warning"), action === "enable" || others > 0);
  showError("change-error", "");
  byId("change-confirm").disabled = false;
  byId("change-dialog").showModal();
  byId("change-cancel").focus();
}

async function post(change) {
  const path = ["/api/v1/backends", encodeURIComponent(change.service), encodeURIComponent(change.backend), change.action];
  const response = await fetch(path.join("/"), {
    method: "POST",
    headers: { Authorization: `Bearer ${changes.token}` },
    cache: "no-store",
    signal: AbortSignal.timeout(10000),
  });
  const answer = await response.json();
  return { status: response.status, answer };
}

async function makeChange() {
  const change = changes.pending;
  byId("change-confirm").disabled = true;
  try {
    const { status, answer } = await post(change);
    if (status === 403) {
      setToken("", false);
      byId("change-dialog").close();
      askForToken(`ikelb refused the token, nothing was changed: ${answer.error}.`);
    } else if (status !== 200) {
      showError("change-error", `Nothing was changed: ${answer.error ?? `status ${status}`}.`);
    } else {
      byId("change-dialog").close();
      announce(ACTIONS[change.action].done(answer) + (answer.warning ? ` ${answer.warning}.` : ""));
      changes.onChanged();
    }
  } catch {
    showError("change-error", "ikelb has not answered; the state shown in the table tells what has happened.");
  }
  byId("change-confirm").disabled = false;
}

function onTokenGiven(event) {
  event.preventDefault();
  const token = byId("token").value.trim();
  if (!token) {
    showError("token-error", "That is no token.");
    return;
  }
  setToken(token, byId("token-keep").checked);
  byId("token-dialog").close();
  announce("Servers can be changed now; the token is checked with the first change.");
}

function startChanges(onToken, onChanged) {
  Object.assign(changes, { onToken, onChanged });
  byId("token-open").addEventListener("click", () => askForToken());
  byId("token-forget").addEventListener("click", () => {
    setToken("", false);
    announce("The token is forgotten.");
    byId("token-open").focus();
  });
  byId("token-form").addEventListener("submit", onTokenGiven);
  byId("token-cancel").addEventListener("click", () => byId("token-dialog").close());
  byId("token-dialog").addEventListener("close", () => (byId("token").value = ""));
  byId("change-form").addEventListener("submit", (event) => {
    event.preventDefault();
    makeChange();
  });
  byId("change-cancel").addEventListener("click", () => byId("change-dialog").close());
  const kept = keptToken();
  if (kept) setToken(kept, true);
}
