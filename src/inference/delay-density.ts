// SPDX-License-Identifier: Apache-2.0
import { normalScore } from "./gaussian-copula.ts";

/** Delays kept; older ones are forgotten. */
const SAMPLES_MAX = 512;
const BINS = 256;
/** Prior weight, in samples, of the density that holds before anything is learnt. */
const PRIOR_SAMPLES = 4;
/** Share of mass that stays on the prior however much is learnt: no delay is impossible. */
const PRIOR_SHARE_MIN = 0.03;
/** Scale of the prior, µs: short delays are likelier than long ones. */
const PRIOR_SCALE_US = 1000;
/** Prior share of delays that are negative because two clocks differ or times were rounded. */
const PRIOR_NEGATIVE = 0.02;
const SCALES_US: readonly number[] = [1, 8, 64, 512, 4096];
/** Bandwidths that the table reaches beyond the samples. */
const MARGIN = 12;
/** Factors on the bandwidth, for samples with many and with few neighbours. */
const WIDTHS: readonly number[] = [0.7, 1, 1.4, 2, 2.8, 4, 5.6];
const BANDWIDTHS: readonly number[] = [0.12, 0.25, 0.5];

function priorLogDensity(delayUs: number): number {
  const x = Math.abs(delayUs) / PRIOR_SCALE_US;
  const share = delayUs < 0 ? PRIOR_NEGATIVE : 1 - PRIOR_NEGATIVE;
  return Math.log((share * 2) / (Math.PI * PRIOR_SCALE_US * (1 + x * x)));
}

/** Math.asinh, twice as fast. */
function arsinh(x: number): number {
  const size = Math.log(Math.abs(x) + Math.sqrt(x * x + 1));
  return x < 0 ? -size : size;
}

/** A Gaussian of standard deviation `bins` as a table, cut at three deviations. */
function kernelTable(bins: number): Float64Array {
  const radius = Math.max(1, Math.ceil(3 * bins));
  const table = new Float64Array(2 * radius + 1);
  let sum = 0;
  for (let i = 0; i < table.length; i++) {
    const value = Math.exp(-0.5 * ((i - radius) / bins) ** 2);
    table[i] = value;
    sum += value;
  }
  for (let i = 0; i < table.length; i++) table[i] = (table[i] ?? 0) / sum;
  return table;
}

function smoothed(counts: Float64Array, kernel: Float64Array): Float64Array {
  const out = new Float64Array(counts.length);
  const radius = (kernel.length - 1) / 2;
  for (let bin = 0; bin < counts.length; bin++) {
    const count = counts[bin] ?? 0;
    if (count === 0) continue;
    for (let i = 0; i < kernel.length; i++) {
      const at = bin + i - radius;
      if (at >= 0 && at < out.length) out[at] = (out[at] ?? 0) + count * (kernel[i] ?? 0);
    }
  }
  return out;
}

/**
 * The estimate again, each sample spread the wider the fewer others are near it, by the inverse
 * square root of the first estimate: a single odd delay must not make a peak of its own.
 */
function adapted(counts: Float64Array, pilot: Float64Array, bins: number): Float64Array {
  let logSum = 0;
  let total = 0;
  for (const [bin, count] of counts.entries()) {
    if (count > 0) logSum += count * Math.log((pilot[bin] ?? 0) + 1e-9);
    total += count;
  }
  const typical = Math.exp(logSum / Math.max(1, total));
  const byWidth = WIDTHS.map(() => new Float64Array(counts.length));
  for (const [bin, count] of counts.entries()) {
    if (count === 0) continue;
    const width = Math.sqrt(typical / ((pilot[bin] ?? 0) + 1e-9));
    const nearest = WIDTHS.findIndex((one) => one * 1.2 >= width);
    const row = byWidth[nearest < 0 ? WIDTHS.length - 1 : nearest];
    if (row !== undefined) row[bin] = count;
  }
  const out = new Float64Array(counts.length);
  for (const [index, width] of WIDTHS.entries()) {
    const part = smoothed(byWidth[index] ?? out, kernelTable(bins * width));
    for (let bin = 0; bin < out.length; bin++) out[bin] = (out[bin] ?? 0) + (part[bin] ?? 0);
  }
  return out;
}

/** Coarsest power of ten µs that nearly all delays are multiples of: how finely the times were recorded. */
function resolutionUs(sorted: Float64Array): number {
  const delays = sorted.filter((delay) => delay !== 0);
  if (delays.length < 8) return 1;
  for (const step of [10000, 1000, 100, 10]) {
    let multiples = 0;
    for (const delay of delays) if (delay % step === 0) multiples++;
    if (multiples >= 0.98 * delays.length) return step;
  }
  return 1;
}

/**
 * Density of a delay in µs, learnt from the latest samples: a Gaussian kernel estimate on a
 * logarithm-like scale around the shortest delays, whose scale and bandwidth are those that
 * predict left-out samples best. Samples that share a coarse resolution are spread over its
 * cells, so that equal times count as "as near as the clock can tell" and no nearer. Memory is
 * bounded. `logDensity` stays the same until `refresh`.
 */
export class DelayDensity {
  readonly #samples = new Float64Array(SAMPLES_MAX);
  #count = 0;
  #next = 0;
  #fresh = 0;
  #builtCount = 0;
  #fittedCount = 0;
  #originUs = 0;
  #scaleUs = 1;
  #bandwidth = 0.25;
  #low = 0;
  #step = 1;
  #learntShare = 0;
  #logUnlearnt = 0;
  /** Logarithm of the density per µs at each bin of the transformed delay. */
  #table = new Float64Array(0);
  /** Normal score by bin. */
  #scores = new Float64Array(0);

  get count(): number {
    return this.#count;
  }

  add(delayUs: number): void {
    this.#samples[this.#next] = delayUs;
    this.#next = (this.#next + 1) % SAMPLES_MAX;
    if (this.#count < SAMPLES_MAX) this.#count++;
    this.#fresh++;
  }

  /** Natural logarithm of the density per µs. */
  logDensity(delayUs: number): number {
    return this.logDensityAt(this.position(delayUs), delayUs);
  }

  /** The delay as a quantile of the standard normal distribution; 0 before anything is learnt. */
  score(delayUs: number): number {
    return this.scoreAt(this.position(delayUs));
  }

  /** Where a delay is in the tables, in bins; for `logDensityAt` and `scoreAt`. */
  position(delayUs: number): number {
    return (arsinh((delayUs - this.#originUs) / this.#scaleUs) - this.#low) / this.#step;
  }

  logDensityAt(position: number, delayUs: number): number {
    if (this.#learntShare === 0) return priorLogDensity(delayUs);
    const bin = Math.floor(position);
    const left = this.#table[bin];
    const right = this.#table[bin + 1];
    if (left === undefined || right === undefined) {
      return priorLogDensity(delayUs) + this.#logUnlearnt;
    }
    return left + (right - left) * (position - bin);
  }

  scoreAt(position: number): number {
    if (this.#learntShare === 0) return 0;
    return this.#scores[Math.max(0, Math.min(BINS - 1, Math.round(position)))] ?? 0;
  }

  /** Takes the samples added since into account, when there are enough of them to matter. */
  refresh(): void {
    if (this.#fresh === 0 || this.#fresh < Math.min(this.#builtCount / 8, 128)) return;
    const sorted = this.#samples.slice(0, this.#count).sort();
    const resolution = resolutionUs(sorted);
    for (let i = 0; i < sorted.length; i++) {
      const spread = ((i * 0.6180339887498949) % 1) - 0.5;
      sorted[i] = (sorted[i] ?? 0) + spread * resolution;
    }
    sorted.sort();
    this.#originUs = sorted[Math.floor(sorted.length * 0.01)] ?? 0;
    if (this.#count >= 2 * this.#fittedCount || this.#count < 16) this.#fit(sorted, resolution);
    this.#learntShare = Math.min(1 - PRIOR_SHARE_MIN, this.#count / (this.#count + PRIOR_SAMPLES));
    this.#logUnlearnt = Math.log(1 - this.#learntShare);
    this.#tabulate(sorted);
    this.#builtCount = this.#count;
    this.#fresh = 0;
  }

  /** Chooses scale and bandwidth by the likelihood of each sample given the others. */
  #fit(sorted: Float64Array, resolution: number): void {
    let best = Number.NEGATIVE_INFINITY;
    let bestScale = this.#scaleUs;
    let bestBandwidth = this.#bandwidth;
    for (const scale of SCALES_US) {
      if (scale < resolution && resolution <= (SCALES_US.at(-1) ?? 1)) continue;
      this.#scaleUs = scale;
      for (const bandwidth of BANDWIDTHS) {
        this.#bandwidth = bandwidth;
        const score = this.#leaveOneOut(sorted);
        if (score > best) {
          best = score;
          bestScale = scale;
          bestBandwidth = bandwidth;
        }
      }
    }
    this.#scaleUs = bestScale;
    this.#bandwidth = bestBandwidth;
    this.#fittedCount = this.#count;
  }

  #counts(sorted: Float64Array): Float64Array {
    const first = arsinh(((sorted[0] ?? 0) - this.#originUs) / this.#scaleUs);
    const last = arsinh(((sorted.at(-1) ?? 0) - this.#originUs) / this.#scaleUs);
    this.#low = first - MARGIN * this.#bandwidth;
    this.#step = (last - first + 2 * MARGIN * this.#bandwidth) / (BINS - 1);
    const counts = new Float64Array(BINS);
    for (const delay of sorted) {
      const position = (arsinh((delay - this.#originUs) / this.#scaleUs) - this.#low) / this.#step;
      const bin = Math.min(BINS - 2, Math.max(0, Math.floor(position)));
      const share = position - bin;
      counts[bin] = (counts[bin] ?? 0) + 1 - share;
      counts[bin + 1] = (counts[bin + 1] ?? 0) + share;
    }
    return counts;
  }

  #leaveOneOut(sorted: Float64Array): number {
    const counts = this.#counts(sorted);
    const kernel = kernelTable(this.#bandwidth / this.#step);
    const peak = kernel[(kernel.length - 1) / 2] ?? 1;
    const density = smoothed(counts, kernel);
    const others = Math.max(1, sorted.length - 1);
    let score = 0;
    for (const delay of sorted) {
      const x = (delay - this.#originUs) / this.#scaleUs;
      const bin = Math.round((arsinh(x) - this.#low) / this.#step);
      const mass = Math.max(1e-9, (density[bin] ?? 0) - peak) / others;
      score += Math.log(mass / (this.#step * this.#scaleUs * Math.sqrt(1 + x * x)) + 1e-12);
    }
    return score;
  }

  #tabulate(sorted: Float64Array): void {
    const counts = this.#counts(sorted);
    const bins = this.#bandwidth / this.#step;
    const density = adapted(counts, smoothed(counts, kernelTable(bins)), bins);
    const table = new Float64Array(BINS);
    this.#scores = new Float64Array(BINS);
    let below = 0;
    for (let bin = 0; bin < BINS; bin++) {
      const mass = (density[bin] ?? 0) / (sorted.length * this.#step);
      const x = Math.sinh(this.#low + bin * this.#step);
      const perUs = (mass + 1e-12) / (this.#scaleUs * Math.sqrt(1 + x * x));
      const prior = Math.exp(priorLogDensity(this.#originUs + x * this.#scaleUs));
      table[bin] = Math.log(this.#learntShare * perUs + (1 - this.#learntShare) * prior);
      const share = (density[bin] ?? 0) / sorted.length;
      this.#scores[bin] = normalScore(below + share / 2);
      below += share;
    }
    this.#table = table;
  }
}
