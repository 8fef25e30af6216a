// The last ten minutes of some numbers: a ring of samples. Counters are kept so that they never fall, also when the
// daemon starts anew and begins from zero: differences then are what happened in both its lives.

const HISTORY_MS = 10 * 60 * 1000;
const HISTORY_SAMPLES = 320; // ten minutes of one in two seconds, and some room

class History {
  // A sample has a time, `counters` numbers that only grow, and `gauges` that do as they like.
  constructor(counters, gauges) {
    this.counters = counters;
    this.width = 1 + counters + gauges;
    this.ring = new Float64Array(this.width * HISTORY_SAMPLES);
    this.next = 0;
    this.length = 0;
    this.raw = new Float64Array(counters);
    this.lost = new Float64Array(counters);
  }

  add(nowMs, values, hasRestarted) {
    const fell = hasRestarted || values.slice(0, this.counters).some((value, i) => value < this.raw[i]);
    const row = this.next * this.width;
    this.ring[row] = nowMs;
    values.forEach((value, i) => {
      if (i < this.counters) {
        if (fell) this.lost[i] += this.raw[i];
        this.raw[i] = value;
        this.ring[row + 1 + i] = this.lost[i] + value;
      } else {
        this.ring[row + 1 + i] = value;
      }
    });
    this.next = (this.next + 1) % HISTORY_SAMPLES;
    this.length = Math.min(this.length + 1, HISTORY_SAMPLES);
  }

  // The place in the ring of the i-th sample, the oldest first.
  row(i) {
    return ((this.next - this.length + i + HISTORY_SAMPLES) % HISTORY_SAMPLES) * this.width;
  }

  time(i) {
    return this.ring[this.row(i)];
  }

  value(i, column) {
    return this.ring[this.row(i) + 1 + column];
  }

  // The latest sample that is not younger than a time; the oldest there is if all are younger.
  at(timeMs) {
    let low = 0;
    let high = this.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.time(middle) <= timeMs) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // By how much a counter has grown between two times.
  growth(column, fromMs, untilMs) {
    if (!this.length) return 0;
    return this.value(this.at(untilMs), column) - this.value(this.at(fromMs), column);
  }

  // As the daemon says it: since its start.
  total(column) {
    return this.raw[column];
  }

  // How many milliseconds are held, at most ten minutes.
  spanMs(nowMs) {
    return this.length ? Math.min(HISTORY_MS, nowMs - this.time(0)) : 0;
  }
}
