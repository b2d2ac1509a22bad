// SPDX-License-Identifier: Apache-2.0

/** What the API takes of conditions in one search. */
const ATTRIBUTES_MAX = 8;

/** `http.route=/a b.c` as two conditions; a value with spaces stands in quotes. */
export function attributesOf(text: string): string[] {
  const words = text.match(/[^\s="]+="[^"]*"|\S+/g) ?? [];
  return words.slice(0, ATTRIBUTES_MAX).map((word) => word.replace(/^([^=]+)="(.*)"$/, "$1=$2"));
}

export function attributesText(conditions: readonly string[]): string {
  return conditions
    .map((one) => (/\s/.test(one) ? one.replace(/^([^=]+)=(.*)$/s, '$1="$2"') : one))
    .join(" ");
}
