// SPDX-License-Identifier: Apache-2.0
// Loaded before each test file by scripts/test.ts: property tests try the same values in every run.
// PROPERTY_SEED=random explores, PROPERTY_SEED=123 repeats; a failure prints its seed either way.
import fc from "fast-check";

const DEFAULT_SEED = 892343678;

const wanted = process.env["PROPERTY_SEED"] ?? String(DEFAULT_SEED);
if (wanted !== "random") {
  const seed = Number(wanted);
  if (!Number.isInteger(seed)) {
    throw new Error(`PROPERTY_SEED is "${wanted}": set it to an integer or to "random".`);
  }
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });
}
