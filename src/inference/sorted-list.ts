// SPDX-License-Identifier: Apache-2.0

/** `list` without one of its members, into `out`; the list stays. */
export function copyWithout(out: number[], list: readonly number[], left: number): void {
  out.length = 0;
  for (const child of list) if (child !== left) out.push(child);
}

/** `list` with one more, into `out`, ascending. */
export function copyWith(out: number[], list: readonly number[], added: number): void {
  out.length = 0;
  for (const child of list) out.push(child);
  insert(out, added);
}

/** Keeps `list` ascending. */
export function insert(list: number[], child: number): void {
  let at = list.length;
  list.push(child);
  while (at > 0 && (list[at - 1] ?? 0) > child) {
    list[at] = list[at - 1] ?? 0;
    at--;
  }
  list[at] = child;
}
