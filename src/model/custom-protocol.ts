// SPDX-License-Identifier: Apache-2.0

/** Where an unsigned number stands in a frame. */
export interface NumberField {
  /** From the frame's first byte. */
  readonly offset: number;
  /** 1 to 8 */
  readonly bytes: number;
}

/** A framed protocol as a user describes it; src/protocols/custom/README.md says what each part means. */
export interface CustomProtocol {
  readonly name: string;
  readonly ports: readonly number[];
  /** Hexadecimal: the bytes that every frame begins with; empty without. */
  readonly magic: string;
  readonly byte_order: "big" | "little";
  /** `adds` to the number is the length of the whole frame. */
  readonly length: NumberField & { readonly adds: number };
  readonly id?: NumberField | undefined;
  readonly kind?:
    | (NumberField & {
        readonly mask: number;
        readonly request: readonly number[];
        readonly response: readonly number[];
        readonly one_way: readonly number[];
      })
    | undefined;
  readonly status?:
    | (NumberField & {
        readonly success: readonly number[];
        readonly names: Readonly<Record<string, string>>;
      })
    | undefined;
  /** A number, or with `text` the length of the text behind it. */
  readonly method?:
    | (NumberField & {
        readonly text: boolean;
        readonly names: Readonly<Record<string, string>>;
      })
    | undefined;
}
