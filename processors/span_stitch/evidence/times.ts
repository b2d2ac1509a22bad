// SPDX-License-Identifier: Apache-2.0
import type { Evidence } from "./evidence.ts";

/** Offered by `inference/`, not by a key: the span that times make the likeliest cause. */
export const times: Evidence = { name: "inference", target: "times", offer: () => 0 };
