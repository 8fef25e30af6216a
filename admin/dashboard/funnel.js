// How far handshakes come, and where they get lost. The words are those of `ikelb explain` and docs/diagnosis.md.

const STEPS = [
  { key: "init_sent", title: "INIT", means: "IKE_SA_INIT: the clients’ first messages" },
  { key: "init_answered", title: "answered", means: "IKE_SA_INIT was answered by a server, in full" },
  { key: "auth_sent", title: "AUTH", means: "IKE_AUTH: the clients went on" },
  { key: "auth_answered", title: "AUTH answered", means: "IKE_AUTH was answered, be it by a refusal" },
  { key: "established", title: "estab\u00adlished", means: "the tunnel carries traffic both ways" },
];
const ANSWERED = STEPS.length; // behind the steps: answered with anything, be it an error
const HANDSHAKE_COUNTERS = [...STEPS.map((step) => step.key), "answered"];

// A handshake gets this long for its next step before it is called lost.
const SETTLE_MS = 6000;

// Losses below this share are the daily noise of the internet.
const NOTABLE = 0.1;

const zeros = () => HANDSHAKE_COUNTERS.map(() => 0);

function emptyFunnel() {
  return { now: zeros(), settled: zeros(), start: zeros(), startSettled: zeros() };
}

// Adds one backend's handshakes: of the last minutes and since start, each also as of a moment ago.
function addToFunnel(funnel, history, nowMs) {
  HANDSHAKE_COUNTERS.forEach((_, i) => {
    const young = history.growth(i, nowMs - SETTLE_MS, nowMs);
    const recent = history.growth(i, nowMs - HISTORY_MS, nowMs);
    funnel.now[i] += recent;
    funnel.settled[i] += Math.max(0, recent - young);
    funnel.start[i] += history.total(i);
    funnel.startSettled[i] += Math.max(0, history.total(i) - young);
  });
}

function causeOfSilence(mode) {
  return mode === "full-nat"
    ? "look at the servers’ limits per source address, as with full NAT all clients come from one"
    : "check the servers’ way back to clients, which must lead through ikelb, and that they let UDP 500 in";
}

// What it means that `lost` of `of` handshakes ended behind a step.
function meaningOf(step, lost, of, isRejected, mode) {
  const part = `${count(lost)} of ${count(of)}`;
  if (step === 0 && isRejected)
    return `${part} first messages (IKE_SA_INIT) were answered with an error or a question, and nothing followed: see the servers’ settings and logs; NO_PROPOSAL_CHOSEN there means that client and server have no encryption settings in common.`;
  if (step === 0)
    return `${part} first messages (IKE_SA_INIT) were handed to a server, which is silent: ${causeOfSilence(mode)}.`;
  if (step === 1)
    return `${part} handshakes were answered, but IKE_AUTH never came: UDP 4500 is blocked on the way in, or large certificates go without IKE fragmentation and their IP fragments are dropped.`;
  if (step === 2)
    return `${part} IKE_AUTH were handed to a server, which is silent: see the servers’ logs (RADIUS, OCSP, revocation lists), and that they let UDP 4500 in.`;
  return `${part} IKE_AUTH were answered, but no tunnel has carried traffic yet: the clients are idle, or were refused, which is encrypted: see the servers’ logs if they show an error.`;
}

// Where most get lost: {step, lost, tone, text}; step null if all is well.
function judgeFunnel(counts, settled, mode) {
  let worst = { step: null, lost: 0 };
  const losses = STEPS.slice(1).map((_, i) => Math.max(0, settled[i] - counts[i + 1]));
  losses.forEach((lost, step) => {
    // The last step may just be waiting for its first packet; a loss before it says more.
    const weight = step === STEPS.length - 2 ? 0.5 : 1;
    if (lost >= Math.max(1, NOTABLE * settled[step]) && lost * weight > worst.lost)
      worst = { step, lost: lost * weight };
  });
  if (!counts[0]) return { step: null, losses, tone: "none", text: "No handshakes." };
  if (worst.step === null)
    return {
      step: null,
      losses,
      tone: "good",
      text: `Handshakes come through: ${count(Math.min(counts[0], counts[STEPS.length - 1]))} of ${count(counts[0])} are established.`,
    };
  const { step } = worst;
  const unanswered = Math.max(0, settled[0] - counts[ANSWERED]);
  const isRejected = step === 0 && losses[0] - unanswered > unanswered;
  return {
    step,
    losses,
    tone: step === STEPS.length - 2 ? "warn" : "bad",
    text: meaningOf(step, losses[step], settled[step], isRejected, mode),
  };
}

// Which handshakes are judged and drawn: the last minutes' or all. Until somebody chooses, the last minutes' as soon
// as there are any.
const span = { chosen: null };

function isWindow(funnel) {
  return span.chosen === null ? funnel.now[0] > 0 : span.chosen === "window";
}

function findingOf(funnel, mode, spanMs) {
  const window = isWindow(funnel);
  const finding = window
    ? judgeFunnel(funnel.now, funnel.settled, mode)
    : judgeFunnel(funnel.start, funnel.startSettled, mode);
  return { ...finding, window, when: window ? `Last ${spanWords(spanMs)}` : "Since start" };
}

// The funnel as a band that narrows where handshakes get lost.
class FunnelView {
  constructor() {
    this.element = copyOf("funnel-template");
    const list = this.element.querySelector("ol");
    this.steps = STEPS.map((step) => {
      const item = make("li", "");
      item.title = step.means;
      const [number, lost, other] = [make("b", ""), make("span", "lost"), make("span", "other")];
      const band = make("span", "band", make("span", "gone"), make("span", "kept"));
      band.setAttribute("aria-hidden", "true");
      item.append(make("span", "title", step.title), number, lost, other, band);
      list.append(item);
      return { item, number, lost, other, band };
    });
  }

  update(funnel, mode, spanMs) {
    const finding = findingOf(funnel, mode, spanMs);
    const [counts, others] = finding.window ? [funnel.now, funnel.start] : [funnel.start, funnel.now];
    const most = Math.max(1, ...counts.slice(0, STEPS.length));
    this.steps.forEach((step, i) => {
      const lost = i ? finding.losses[i - 1] : 0;
      const isWorst = finding.step !== null && i === finding.step + 1;
      const after = i + 1 < STEPS.length ? counts[i + 1] : counts[i];
      setText(step.number, count(counts[i]));
      setText(step.lost, lost ? `−${count(lost)}${isWorst ? " lost here" : ""}` : "");
      setText(step.other, `${count(others[i])} ${finding.window ? "since start" : "lately"}`);
      setAttribute(step.item, "data-tone", isWorst ? finding.tone : "");
      setAttribute(step.band, "data-tone", i === finding.step ? finding.tone : "");
      step.band.style.setProperty("--here", counts[i] / most);
      step.band.style.setProperty("--next", Math.min(after, counts[i]) / most);
    });
    const words = this.element.querySelector(".finding");
    setTone(words, finding.tone);
    setText(words.querySelector(".words"), `${finding.when}: ${finding.text}`);
    return finding;
  }
}
