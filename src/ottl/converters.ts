// SPDX-License-Identifier: Apache-2.0
import type { Builtin } from "./arguments.ts";
import type { Getter } from "./fields.ts";
import { KINDS } from "./functions/kinds.ts";
import { METRIC } from "./functions/metric.ts";
import { PARSE } from "./functions/parse.ts";
import { TEXT } from "./functions/text.ts";
import { TIME } from "./functions/time.ts";

export const CONVERTERS: ReadonlyMap<string, Builtin<Getter>> = new Map([
  ...TEXT,
  ...KINDS,
  ...TIME,
  ...PARSE,
  ...METRIC,
]);

/** The converter with this name where it can be used; for `replace_pattern`'s function. */
export function converterNamed(name: string): Builtin<Getter> | undefined {
  return CONVERTERS.get(name);
}
