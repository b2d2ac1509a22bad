// SPDX-License-Identifier: Apache-2.0

/** Puts ANSI colours round text, or leaves it as it is. */
export interface Style {
  dim(text: string): string;
  bold(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  /** One of eight colours, always the same for the same name. */
  byName(name: string, text: string): string;
}

/** Of the 256-colour palette: readable on black and on white. */
const PALETTE = [39, 208, 141, 35, 204, 75, 178, 43];

export function createStyle(isColoured: boolean): Style {
  const paint =
    (code: string) =>
    (text: string): string =>
      isColoured && text !== "" ? `\u001b[${code}m${text}\u001b[0m` : text;
  return {
    dim: paint("2"),
    bold: paint("1"),
    red: paint("31"),
    green: paint("32"),
    yellow: paint("33"),
    byName: (name, text) => paint(`38;5;${PALETTE[hash(name) % PALETTE.length] ?? 39}`)(text),
  };
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value >>> 0;
}

/**
 * Text from the outside, safe to print: control and direction characters, which could move the
 * terminal's cursor or hide text, become `�`.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu, "\ufffd");
}

/** Cut to `width` characters, with an ellipsis. */
export function fit(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** Three significant digits: `870 ns`, `12.3 µs`, `1.24 ms`, `45.0 s`. */
export function durationText(ns: number): string {
  if (ns < 0) return `-${durationText(-ns)}`;
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  const [value, unit] = ns < 1e6 ? [ns / 1e3, "µs"] : ns < 1e9 ? [ns / 1e6, "ms"] : [ns / 1e9, "s"];
  if (value >= 1e5) return `${value.toExponential(1)} ${unit}`;
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${unit}`;
}
