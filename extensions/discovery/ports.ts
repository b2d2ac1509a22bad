// SPDX-License-Identifier: Apache-2.0

/** Both ends included; 1 to 65535. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** Reads `8080`, `9000-9010` and comma lists of them. A text is what is wrong and what to write. */
export function parsePorts(text: string): readonly PortRange[] | string {
  const ranges: PortRange[] = [];
  for (const part of text.split(",")) {
    const match = /^\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?$/.exec(part);
    if (match === null) {
      return `"${part.trim()}" is not a port. Write a port (8080), a range (9000-9010) or a list`;
    }
    const from = Number(match[1]);
    const to = Number(match[2] ?? match[1]);
    if (from < 1 || to > 65_535) return `"${part.trim()}": ports are 1 to 65535`;
    if (from > to) return `"${part.trim()}": the range ends before it starts`;
    ranges.push({ from, to });
  }
  return ranges;
}

export function includesPort(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some((range) => port >= range.from && port <= range.to);
}
