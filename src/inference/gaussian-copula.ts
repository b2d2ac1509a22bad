// SPDX-License-Identifier: Apache-2.0

/** Features of one joint observation; more are ignored. */
export const FEATURES_MAX = 16;
/** Scores are clipped here: one odd value must not decide. */
const SCORE_MAX = 3;
/** Joint observations by which correlations are drawn to zero. */
const SHRINK_SAMPLES = 30;
/** Share of observations that need not follow the correlations: bounds what they can say against. */
const INDEPENDENT_SHARE = 0.1;
const FORGET_SAMPLES = 1000;
const MASKS_MAX = 512;

/** Inverse correlation minus identity, row by row, and half the determinant's logarithm. */
interface Conditional {
  readonly excess: Float64Array;
  readonly halfLogDeterminant: number;
}

/**
 * How features of one observation go together beyond their own distributions: a Gaussian copula
 * on normal scores. Any subset of features may be present; `mask` says which, one bit each.
 * `scores` hold one normal score a feature. Bounded; forgets.
 */
export class GaussianCopula {
  readonly #sums = new Float64Array(FEATURES_MAX * FEATURES_MAX);
  readonly #weights = new Float64Array(FEATURES_MAX * FEATURES_MAX);
  readonly #conditionals = new Map<number, Conditional>();
  readonly #present = new Int32Array(FEATURES_MAX);

  /** Logarithm of the joint density over the product of the features' own densities. */
  logRatio(scores: Float64Array, mask: number): number {
    if ((mask & (mask - 1)) === 0) return 0;
    const conditional = this.#conditionals.get(mask) ?? this.#solve(mask);
    const { excess } = conditional;
    const count = this.#list(mask);
    let form = 0;
    for (let i = 0; i < count; i++) {
      const zi = scores[this.#present[i] ?? 0] ?? 0;
      for (let j = 0; j < i; j++) {
        form += 2 * zi * (scores[this.#present[j] ?? 0] ?? 0) * (excess[i * count + j] ?? 0);
      }
      form += zi * zi * (excess[i * count + i] ?? 0);
    }
    const log = -conditional.halfLogDeterminant - 0.5 * form;
    return Math.log((1 - INDEPENDENT_SHARE) * Math.exp(Math.min(50, log)) + INDEPENDENT_SHARE);
  }

  add(scores: Float64Array, mask: number): void {
    const count = this.#list(mask);
    for (let i = 0; i < count; i++) {
      const a = this.#present[i] ?? 0;
      for (let j = 0; j < i; j++) {
        const at = a * FEATURES_MAX + (this.#present[j] ?? 0);
        const keep = 1 - 1 / FORGET_SAMPLES;
        const product = (scores[a] ?? 0) * (scores[this.#present[j] ?? 0] ?? 0);
        this.#sums[at] = (this.#sums[at] ?? 0) * keep + product;
        this.#weights[at] = (this.#weights[at] ?? 0) * keep + 1;
      }
    }
  }

  /** Makes what was added count in `logRatio`. */
  refresh(): void {
    this.#conditionals.clear();
  }

  #list(mask: number): number {
    let count = 0;
    for (let bit = 0; bit < FEATURES_MAX; bit++) {
      if ((mask & (1 << bit)) !== 0) this.#present[count++] = bit;
    }
    return count;
  }

  #correlation(a: number, b: number): number {
    const at = Math.max(a, b) * FEATURES_MAX + Math.min(a, b);
    const correlation = (this.#sums[at] ?? 0) / ((this.#weights[at] ?? 0) + SHRINK_SAMPLES);
    return Math.max(-0.95, Math.min(0.95, correlation));
  }

  #solve(mask: number): Conditional {
    const count = this.#list(mask);
    const features = this.#present.slice(0, count);
    let conditional: Conditional | undefined;
    for (let shrink = 1; conditional === undefined; shrink *= 0.8) {
      const matrix = new Float64Array(count * count);
      for (let i = 0; i < count; i++) {
        for (let j = 0; j < count; j++) {
          matrix[i * count + j] =
            i === j ? 1 : shrink * this.#correlation(features[i] ?? 0, features[j] ?? 0);
        }
      }
      conditional = invert(matrix, count);
    }
    if (this.#conditionals.size < MASKS_MAX) this.#conditionals.set(mask, conditional);
    return conditional;
  }
}

/** By Gauss and Jordan; undefined when the matrix is not safely positive definite. */
function invert(matrix: Float64Array, count: number): Conditional | undefined {
  const inverse = new Float64Array(count * count);
  for (let i = 0; i < count; i++) inverse[i * count + i] = 1;
  let logDeterminant = 0;
  for (let pivot = 0; pivot < count; pivot++) {
    const scale = matrix[pivot * count + pivot] ?? 0;
    if (scale < 0.02) return undefined;
    logDeterminant += Math.log(scale);
    for (let column = 0; column < count; column++) {
      const at = pivot * count + column;
      matrix[at] = (matrix[at] ?? 0) / scale;
      inverse[at] = (inverse[at] ?? 0) / scale;
    }
    for (let row = 0; row < count; row++) {
      const factor = matrix[row * count + pivot] ?? 0;
      if (row === pivot || factor === 0) continue;
      for (let column = 0; column < count; column++) {
        const at = row * count + column;
        matrix[at] = (matrix[at] ?? 0) - factor * (matrix[pivot * count + column] ?? 0);
        inverse[at] = (inverse[at] ?? 0) - factor * (inverse[pivot * count + column] ?? 0);
      }
    }
  }
  for (let i = 0; i < count; i++) inverse[i * count + i] = (inverse[i * count + i] ?? 0) - 1;
  return { excess: inverse, halfLogDeterminant: logDeterminant / 2 };
}

/** Quantile of the standard normal distribution, clipped (Acklam's rational approximation). */
export function normalScore(share: number): number {
  const p = Math.min(1 - 1e-9, Math.max(1e-9, share));
  const clip = (z: number): number => Math.max(-SCORE_MAX, Math.min(SCORE_MAX, z));
  if (p < 0.02425) return clip(tail(Math.sqrt(-2 * Math.log(p))));
  if (p > 1 - 0.02425) return clip(-tail(Math.sqrt(-2 * Math.log(1 - p))));
  const q = p - 0.5;
  const r = q * q;
  const above = polynomial(r, CENTRE_ABOVE) * q;
  return clip(above / (polynomial(r, CENTRE_BELOW) * r + 1));
}

const CENTRE_ABOVE = [
  -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716,
  2.506628277459239,
];
const CENTRE_BELOW = [
  -54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572,
];
const TAIL_ABOVE = [
  -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734,
  4.374664141464968, 2.938163982698783,
];
const TAIL_BELOW = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];

function tail(q: number): number {
  return polynomial(q, TAIL_ABOVE) / (polynomial(q, TAIL_BELOW) * q + 1);
}

/** Coefficients from the highest power down. */
function polynomial(x: number, coefficients: readonly number[]): number {
  let sum = 0;
  for (const coefficient of coefficients) sum = sum * x + coefficient;
  return sum;
}
