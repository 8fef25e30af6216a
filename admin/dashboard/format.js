// Numbers and times as people read them; the same forms as on the command line (admin/human.c).

const LANGUAGE = "en";

function count(n) {
  return Math.round(n).toLocaleString(LANGUAGE);
}

// "no clients", "1 client", "12 clients".
function countOf(n, one, many = `${one}s`) {
  if (n === 0) return `no ${many}`;
  return `${count(n)} ${n === 1 ? one : many}`;
}

// 1234567 -> "1.2 Mbit/s".
function rate(n, unit) {
  const prefixes = ["", "k", "M", "G", "T", "P"];
  let value = n;
  let p = 0;
  while (value >= 999.5 && p < prefixes.length - 1) {
    value /= 1000;
    p++;
  }
  return `${value.toFixed(p > 0 && value < 9.95 ? 1 : 0)} ${prefixes[p]}${unit}`;
}

function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const [minutes, hours, days] = [Math.floor(s / 60), Math.floor(s / 3600), Math.floor(s / 86400)];
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  if (minutes) return s % 60 && minutes < 10 ? `${minutes} min ${s % 60} s` : `${minutes} min`;
  return `${s} s`;
}

// How much of the past is held: in minutes as soon as there are some, so that it does not change with each poll.
function spanWords(ms) {
  const seconds = ms / 1000;
  return duration(seconds < 120 ? seconds : seconds - (seconds % 60));
}

// How long ago something was; hundredths matter within a handshake.
function ago(seconds) {
  return seconds < 60 ? `${seconds.toFixed(2)} s ago` : `${duration(seconds)} ago`;
}

function clockTime(date) {
  return date.toLocaleTimeString(LANGUAGE, { hour12: false });
}
