// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";

/** No options. */
export const configSchema: z.ZodType<NopConfig> = z.strictObject({});
export type NopConfig = Record<string, never>;
