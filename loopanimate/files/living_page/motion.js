"use strict";

const VERSION = 1; // of the data that these scripts read (living.py)
const loop = JSON.parse(document.getElementById("loop").textContent);
check(loop);
const { constants } = loop;

// Refuses data of another version in one sentence, shown on the page and thrown.
function check({ version }) {
  if (version === VERSION) return;
  const note = document.getElementById("note");
  note.textContent = `Expected data of version ${VERSION} for this living picture, got ${version}: another version of LoopAnimate made it.`;
  note.hidden = false;
  throw new Error(note.textContent);
}

// The displacement of all layers in one loop, in short sides: a few harmonics of the loop, plus the winding that a stream
// travels between two cross-fades. Values stand layer by layer, for each cell of the grid x and then y. They are coefficients
// of a cubic B-spline over the cells (splineAt).
class Motion {
  constructor({ data, step, windingStep, turns, even, streams, peaks, limits, spins }, cells) {
    Object.assign(this, { turns, even, streams, peaks, limits, spins }); // lists with one item a layer
    const numbers = new Int16Array(Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)).buffer);
    this.block = 2 * cells;
    this.size = turns.length * this.block;
    this.winding = Float32Array.from(numbers.subarray(0, this.size), (value) => value * windingStep);
    this.terms = Float32Array.from(numbers.subarray(this.size), (value) => value * step); // cosine and sine of 1, 2, ... waves
  }

  // Factor on each layer's displacement: the strength, held back where cells would fold. A part of a turn is none: a wheel
  // turns, or it stands.
  factors(strength) {
    return this.limits.map((limit, layer) => (this.spins[layer] ? Math.sign(strength) : Math.min(strength, limit)));
  }

  // Adds weight * displacement, and weight * winding, to the arrays of that name in `out`. time: in loops; phases: of each
  // layer's cross-fade, 0 to 1. With time and phases zero, so is the displacement.
  add(out, time, phases, weight, factors) {
    const { block, size, terms, winding } = this;
    factors.forEach((factor, layer) => {
      const from = layer * block, to = from + block, gain = weight * factor;
      for (let i = from; i < to; i++) {
        out.winding[i] += gain * winding[i];
        out.displacement[i] += gain * phases[layer] * winding[i];
      }
      for (let wave = 0, at = 0; at < terms.length; at += 2 * size) {
        const angle = 2 * Math.PI * ++wave * time, cosine = gain * (Math.cos(angle) - 1), sine = gain * Math.sin(angle);
        for (let i = from; i < to; i++) out.displacement[i] += cosine * terms[at + i] + sine * terms[at + size + i];
      }
    });
  }
}

const CHANGE = 0.5; // loops that a change from one loop to another takes
const CALM = 0.55, GUST = 1.2; // least and most strength of a visit to a loop

// A walk among several loops of one picture, or round and round the only one. Each visit to a loop has its own length and
// force. A change blends two running loops; the next one starts at the time where its place and speed fit best.
class Walk {
  constructor(motions) {
    this.motions = motions;
    this.wander = motions.length > 1;
    this.rewind();
  }

  rewind(time = 0) {
    this.now = { motion: this.motions[0], time, force: 1 };
    this.next = null;
    this.weather = time; // in loops, of light and weather: it goes on through every change
    this.phases = this.now.motion.turns.map((turns) => (time * turns) % 1);
    this.wait = this.stay();
  }

  // Loops until the next change: fewer than two, so that no loop is seen twice in a row.
  stay() {
    return 0.6 + 1.2 * Math.random();
  }

  // Share of the next loop in the blend. Its speed and acceleration are zero at the start and the end of a change.
  share() {
    const s = this.next ? this.progress : 0;
    return s * s * s * (s * (6 * s - 15) + 10);
  }

  // Goes on by that many loops.
  advance(loops) {
    const share = this.share(), wrap = (value) => value - Math.floor(value);
    this.phases = this.phases.map((phase, layer) => {
      const turns = this.now.motion.turns[layer];
      return wrap(phase + loops * (this.next ? turns + share * (this.next.motion.turns[layer] - turns) : turns));
    });
    this.now.time = wrap(this.now.time + loops);
    this.weather = wrap(this.weather + loops);
    if (this.next) {
      this.next.time = wrap(this.next.time + loops);
      this.progress += loops / CHANGE;
      if (this.progress < 1) return;
      this.now = this.next;
      this.next = null;
      this.wait = this.stay();
    } else if (this.wander && (this.wait -= loops) <= 0) {
      const others = this.motions.filter((motion) => motion !== this.now.motion);
      this.next = { motion: others[Math.floor(others.length * Math.random())], force: CALM + (GUST - CALM) * Math.random() };
      this.next.time = this.meet();
      this.progress = 0;
    }
  }

  // Finds the time of the next loop from which it stays closest to this one throughout a change.
  meet() {
    const path = ({ motion, force }, start) =>
      [0.25, 0.5, 0.75].map((part) => {
        const out = { displacement: new Float32Array(motion.size), winding: new Float32Array(motion.size) };
        motion.add(out, start + part * CHANGE, motion.turns.map(() => 0), 1, motion.factors(force));
        return out.displacement;
      });
    const mine = path(this.now, this.now.time);
    let best = 0, least = Infinity;
    for (let start = 0; start < 1; start += 1 / 32) {
      const distance = path(this.next, start).reduce(
        (sum, field, point) => field.reduce((inner, value, i) => inner + (value - mine[point][i]) ** 2, sum), 0);
      if (distance < least) [least, best] = [distance, start];
    }
    return best;
  }

  // The loops that are blended, each with its weight.
  visits() {
    return [[this.now, 1 - this.share()], [this.next, this.share()]].filter(([, weight]) => weight);
  }

  // What is drawn at that strength. weights: how much each layer shows its earlier phase; streams: how much it streams;
  // border: width of the fade at the picture's borders, in short sides.
  state(strength) {
    const { size, turns } = this.now.motion, [reaches, least, most] = constants.border, none = turns.map(() => 0);
    const state = { displacement: new Float32Array(size), winding: new Float32Array(size), weights: none, streams: none, border: 0 };
    for (const [visit, weight] of this.visits()) {
      const { motion, time, force } = visit, factors = motion.factors(strength * force);
      motion.add(state, time, this.phases, weight, factors);
      state.weights = this.phases.map((phase, layer) => { // a cross-fade grows evenly by its share `even`, else it eases in and out
        const even = motion.even[layer];
        return state.weights[layer] + weight * (even * phase + (1 - even) * phase * phase * (3 - 2 * phase));
      });
      state.streams = state.streams.map((share, layer) => share + weight * motion.streams[layer]);
      const reach = Math.max(...motion.peaks.map((peak, layer) => peak * factors[layer]));
      state.border += weight * Math.min(most, Math.max(least, reaches * reach));
    }
    return state;
  }
}
