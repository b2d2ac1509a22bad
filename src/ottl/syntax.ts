// SPDX-License-Identifier: Apache-2.0

export type Key = string | number;

/** `resource.attributes["a"]`: names in order, keys of the last one that has some. */
export interface PathSyntax {
  readonly kind: "path";
  readonly fields: readonly { readonly name: string; readonly keys: readonly Key[] }[];
  readonly text: string;
}

export type ValueSyntax =
  | { readonly kind: "nil" }
  | { readonly kind: "literal"; readonly value: string | number | bigint | boolean | Uint8Array }
  | { readonly kind: "enum"; readonly name: string }
  | { readonly kind: "list"; readonly values: readonly ValueSyntax[] }
  | {
      readonly kind: "math";
      readonly op: string;
      readonly left: ValueSyntax;
      readonly right: ValueSyntax;
    }
  | CallSyntax
  | PathSyntax;

export interface CallSyntax {
  readonly kind: "call";
  readonly name: string;
  readonly args: readonly ValueSyntax[];
}

export type ConditionSyntax =
  | { readonly kind: "or" | "and"; readonly parts: readonly ConditionSyntax[] }
  | { readonly kind: "not"; readonly part: ConditionSyntax }
  | { readonly kind: "constant"; readonly value: boolean }
  | { readonly kind: "test"; readonly call: CallSyntax }
  | {
      readonly kind: "compare";
      readonly op: string;
      readonly left: ValueSyntax;
      readonly right: ValueSyntax;
    };
