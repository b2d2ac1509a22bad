// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";

export const configSchema: z.ZodType<Record<string, never>> = z.strictObject({});
