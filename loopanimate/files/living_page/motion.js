"use strict";

// A loop's motion: displacement of two layers on a grid of cells, in time a few harmonics of the loop plus the winding of
// its streams. Values are coefficients of a cubic B-spline over the cells, so that the shader has nothing to solve.
class Motion {
  constructor(loop, cells) {
    const bytes = Uint8Array.from(atob(loop.data), (letter) => letter.charCodeAt(0));
    const whole = new Int16Array(bytes.buffer);
    this.size = 4 * cells;
    this.harmonics = loop.harmonics;
    this.winding = Float32Array.from(whole.subarray(0, this.size), (value) => value * loop.windingStep);
    this.terms = Float32Array.from(whole.subarray(this.size), (value) => value * loop.step); // cosine, sine of 1, 2, ...
    this.turns = loop.turns; // of each layer's cross-fade in one loop
    this.even = loop.even; // the share of its weight that grows evenly, the rest eases in and out
    this.streams = loop.streams;
    this.peaks = loop.peaks;
    this.limits = loop.limits;
  }

  // Factor on each layer: the strength asked for, held back where cells would fold.
  factors(strength) {
    return this.limits.map((limit) => Math.min(strength, limit));
  }

  // Adds weight * displacement to out, at `time` in loops and the layers' cross-fade phases; at time 0 it is zero.
  add(out, time, phases, weight, factors) {
    const { size, terms, winding } = this;
    const gains = [0, 1, 2, 3].map((channel) => weight * factors[channel >> 1]);
    for (let i = 0; i < size; i++) out[i] += gains[i & 3] * phases[(i & 3) >> 1] * winding[i];
    for (let k = 1, at = 0; k <= this.harmonics; k++, at += 2 * size) {
      const angle = 2 * Math.PI * k * time, cosine = Math.cos(angle) - 1, sine = Math.sin(angle);
      for (let i = 0; i < size; i++) out[i] += gains[i & 3] * (cosine * terms[at + i] + sine * terms[at + size + i]);
    }
  }

  addWinding(out, weight, factors) {
    for (let i = 0; i < this.size; i++) out[i] += weight * factors[(i & 3) >> 1] * this.winding[i];
  }

  // The farthest that any content goes, in short sides.
  reach(factors) {
    return Math.max(...this.peaks.map((peak, layer) => peak * factors[layer]));
  }
}

const CHANGE = 0.5; // loops that a change from one loop to another takes
const CALM = 0.55, GUST = 1.2; // force of a visit

// A walk among several loops of one picture, or round and round the only one. Each visit has its own length and force; a
// change blends two running loops, and begins the next one at the time where place and speed fit best.
class Walk {
  constructor(motions) {
    this.motions = motions;
    this.wander = motions.length > 1;
    this.rewind();
  }

  rewind(time = 0) {
    this.now = { motion: this.motions[0], time, force: 1 };
    this.next = null;
    this.phases = this.now.motion.turns.map((turns) => (time * turns) % 1);
    this.wait = this.stay();
  }

  stay() {
    return 0.6 + 1.2 * Math.random(); // below two: no whole turn is seen twice in a row
  }

  share() {
    const s = this.next ? this.progress : 0;
    return s * s * s * (s * (6 * s - 15) + 10); // speed and acceleration of the blend start and end at zero
  }

  // Goes on by that many loops.
  advance(loops) {
    const share = this.share();
    const wrap = (value) => value - Math.floor(value);
    this.phases = this.phases.map((phase, layer) => {
      const turns = this.now.motion.turns[layer];
      return wrap(phase + loops * (this.next ? turns + share * (this.next.motion.turns[layer] - turns) : turns));
    });
    this.now.time = wrap(this.now.time + loops);
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
      this.next.time = this.meeting();
      this.progress = 0;
    }
  }

  // Where the next loop runs closest to this one, in place and in speed, throughout the change.
  meeting() {
    const still = [0, 0];
    const path = (visit, start) =>
      [0.25, 0.5, 0.75].map((part) => {
        const out = new Float32Array(visit.motion.size);
        visit.motion.add(out, start + part * CHANGE, still, 1, visit.motion.factors(visit.force));
        return out;
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

  // What is to be drawn at that strength; borderWidth gives the width of the still border for a reach.
  state(strength, borderWidth) {
    const size = this.now.motion.size, share = this.share();
    const state = {
      displacement: new Float32Array(size), winding: new Float32Array(size), phases: this.phases, weights: [0, 0],
      streams: [0, 0], border: 0,
    };
    for (const [visit, weight] of [[this.now, 1 - share], [this.next, share]]) {
      if (!weight) continue;
      const { motion, time, force } = visit;
      const factors = motion.factors(strength * force);
      motion.add(state.displacement, time, this.phases, weight, factors);
      motion.addWinding(state.winding, weight, factors);
      for (const layer of [0, 1]) {
        const phase = this.phases[layer], eased = phase * phase * (3 - 2 * phase);
        state.weights[layer] += weight * (eased + motion.even[layer] * (phase - eased));
        state.streams[layer] += weight * motion.streams[layer];
      }
      state.border += weight * borderWidth(motion.reach(factors));
    }
    return state;
  }
}
