// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";

const NO_PATH = 'path must name a recording, for example "run.bsrec"';

export interface ReplayConfig {
  readonly path: string;
}

export const configSchema: z.ZodType<ReplayConfig> = z.strictObject({
  path: z
    .string({ error: NO_PATH })
    .min(1, { error: NO_PATH })
    .describe("Recording to read, as `ebpf_l7::record::path` wrote it."),
});
