// SPDX-License-Identifier: Apache-2.0

/** `resource.attributes["a"]`: names in order, keys of the last one that has some. */
export interface PathSyntax {
  readonly kind: "path";
  readonly fields: readonly { readonly name: string; readonly keys: readonly ValueSyntax[] }[];
  readonly text: string;
}

export type ValueSyntax =
  | { readonly kind: "nil" }
  | { readonly kind: "literal"; readonly value: Literal }
  | { readonly kind: "enum"; readonly name: string }
  | { readonly kind: "list"; readonly values: readonly ValueSyntax[] }
  | { readonly kind: "map"; readonly entries: readonly (readonly [string, ValueSyntax])[] }
  | {
      readonly kind: "math";
      readonly op: string;
      readonly left: ValueSyntax;
      readonly right: ValueSyntax;
    }
  | CallSyntax
  | PathSyntax;

/** `float` tells `5.0` from `5`. */
type Literal = string | number | bigint | boolean | Uint8Array | { readonly float: number };

export interface ArgumentSyntax {
  /** Of `name=value`. */
  readonly name: string | undefined;
  readonly value: ValueSyntax;
}

export interface CallSyntax {
  readonly kind: "call";
  readonly name: string;
  readonly args: readonly ArgumentSyntax[];
  readonly keys: readonly ValueSyntax[];
}

export interface StatementSyntax {
  readonly editor: CallSyntax;
  readonly where: ConditionSyntax | undefined;
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
