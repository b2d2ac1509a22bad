// SPDX-License-Identifier: Apache-2.0

/** The candidate that a misspelt word most likely means; undefined when none is close. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.ceil(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const lower = candidate.toLowerCase();
    const isPart = lower.length > 3 && wanted.length > 3 && isPrefixOfEither(lower, wanted);
    const distance = isPart ? 1 : editDistance(wanted, lower);
    if (distance < bestDistance && distance < Math.max(wanted.length, lower.length)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function isPrefixOfEither(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a);
}

/** Levenshtein's distance, where swapping two neighbours is one step. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
