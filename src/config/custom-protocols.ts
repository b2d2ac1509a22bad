// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { CustomProtocol } from "../model/custom-protocol.ts";

const OFFSET_MAX = 4096;
const PROTOCOLS_MAX = 50;
const VALUES_MAX = 256;

const offset = z
  .int()
  .min(0)
  .max(OFFSET_MAX)
  .describe("Bytes from the beginning of the frame, 0 to 4096.");
const size = (max: number): z.ZodType<number> =>
  z.int().min(1).max(max).describe(`Bytes of the number, 1 to ${max}.`);
const values = z.array(z.int().min(0)).max(VALUES_MAX);
const names = z
  .record(z.string().regex(/^\d+$/, { error: "is not a number" }), z.string().min(1))
  .default({})
  .describe("What numbers mean.");

const schema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9_]{0,63}$/, { error: "must be of lower-case letters, digits and `_`" })
      .describe("Becomes `rpc.system.name`."),
    ports: z
      .array(z.int().min(1).max(65_535))
      .default([])
      .describe("Ports on which it is spoken, on either side."),
    magic: z
      .string()
      .regex(/^([0-9a-fA-F]{2}\s*){0,16}$/, { error: 'must be hexadecimal bytes, such as "5348"' })
      .default("")
      .describe("Bytes that every frame begins with, hexadecimal, up to 16."),
    byte_order: z.enum(["big", "little"]).default("big").describe("Of all numbers."),
    length: z
      .strictObject({
        offset,
        bytes: size(4),
        adds: z
          .int()
          .min(-OFFSET_MAX)
          .max(OFFSET_MAX)
          .default(0)
          .describe("What the number lacks of the length of the whole frame."),
      })
      .describe("The frame's length."),
    id: z
      .strictObject({ offset, bytes: size(8) })
      .optional()
      .describe("Names a request, and in its response the same; without, responses come in order."),
    kind: z
      .strictObject({
        offset,
        bytes: size(4),
        mask: z.int().min(0).max(0xffffffff).default(0).describe("Bits that count; 0 for all."),
        request: values.min(1).describe("Values of requests."),
        response: values.min(1).describe("Values of responses."),
        one_way: values.default([]).describe("Values of messages that nobody answers."),
      })
      .optional()
      .describe("Tells requests from responses; without, whoever speaks first asks."),
    status: z
      .strictObject({
        offset,
        bytes: size(4),
        success: values.default([0]).describe("Values that are no error."),
        names,
      })
      .optional()
      .describe("How it went, in responses."),
    method: z
      .strictObject({
        offset,
        bytes: size(4),
        text: z
          .boolean()
          .default(false)
          .describe("The number is the length of the name, which stands behind it."),
        names,
      })
      .optional()
      .describe("What is asked for, in requests."),
  })
  .refine(({ ports, magic }) => ports.length > 0 || /\S{2}\s*\S{2}/.test(magic), {
    error: "needs `ports`, or a `magic` of two bytes or more, to be recognised",
  });

/** `protocols::custom`. `taken`: names that exist already. */
export function customProtocols(
  taken: readonly string[],
): z.ZodType<readonly CustomProtocol[], unknown> {
  return z
    .array(schema)
    .max(PROTOCOLS_MAX)
    .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, {
      error: "has two protocols of the same name",
    })
    .refine((all) => !all.some(({ name }) => taken.includes(name)), {
      error: "has a protocol with the name of one that is built in",
    })
    .default([])
    .describe("Framed protocols of your own; see src/protocols/custom/README.md.");
}
