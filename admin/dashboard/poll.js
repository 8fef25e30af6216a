// Asks for the status again and again, and says so when nobody answers.

const POLL_MS = 2000;
const POLL_HIDDEN_MS = 30000; // in a tab that nobody looks at
const POLL_LARGE_MS = 10000; // of a pool that is slow to ask for or to draw, at the most
const TIMEOUT_MS = 5000;
const RESTART_MS = 3000; // so much later a start must be to be another one: uptime comes in whole seconds

const poll = {
  services: null,
  timer: 0,
  isAsking: false,
  startedMs: null, // when the daemon started, on this page's clock
  answeredAt: null, // Date of the last answer
  tookMs: 0,
};

function showLink(tone, text) {
  setTone(byId("link"), tone);
  setText(byId("link-text"), text);
}

function hasRestarted(status, nowMs) {
  const startedMs = nowMs - status.uptime_s * 1000;
  const isAnother = poll.startedMs !== null && startedMs > poll.startedMs + RESTART_MS;
  if (poll.startedMs === null || isAnother) poll.startedMs = startedMs;
  return isAnother;
}

function take(status) {
  const nowMs = performance.now();
  const isAnother = hasRestarted(status, nowMs);
  if (isAnother) announce(`ikelb was started anew ${duration(status.uptime_s)} ago.`);
  poll.services.take(status.services, nowMs, isAnother);
  showOverview(status, poll.services, nowMs, isAnother);
  poll.answeredAt = new Date();
  document.body.classList.remove("stale");
  setHidden(byId("lost"), true);
  showLink("good", `live, ${clockTime(poll.answeredAt)}`);
}

function lose(reason) {
  const since = poll.answeredAt ? `What is shown is from ${clockTime(poll.answeredAt)}.` : "";
  document.body.classList.add("stale");
  showLink("bad", "no answer");
  setText(byId("lost"), `ikelb does not answer (${reason}). ${since} This page goes on asking, and goes on by itself as soon as there is an answer.`);
  setHidden(byId("lost"), false);
}

async function askStatus() {
  const response = await fetch("/api/v1/status", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const status = await response.json();
  if (!Array.isArray(status.services)) throw new Error("an answer that is none");
  return status;
}

function reasonOf(error) {
  if (error.name === "TimeoutError") return `nothing within ${TIMEOUT_MS / 1000} s`;
  return error instanceof TypeError ? "it cannot be reached" : error.message;
}

async function pollOnce() {
  if (poll.isAsking) return;
  poll.isAsking = true;
  const beganMs = performance.now();
  let status = null;
  try {
    status = await askStatus();
  } catch (error) {
    lose(reasonOf(error));
  }
  if (status) take(status);
  poll.tookMs = status ? performance.now() - beganMs : 0;
  poll.isAsking = false;
  schedule();
}

// A large pool is asked for less often: no more than a tenth of the time goes into it.
function schedule() {
  clearTimeout(poll.timer);
  poll.timer = setTimeout(pollOnce, document.hidden ? POLL_HIDDEN_MS : Math.min(POLL_LARGE_MS, Math.max(POLL_MS, 10 * poll.tookMs)));
}

startTheme();
poll.services = new ServicesView();
startChanges(() => poll.services.updateActions(), pollOnce);
startExplain();
document.addEventListener("visibilitychange", () => (document.hidden ? schedule() : pollOnce()));
pollOnce();
