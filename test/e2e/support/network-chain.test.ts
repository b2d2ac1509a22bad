// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { startNetworkChain } from "../../support/network-chain.ts";

for (const ipVersion of [4, 6] as const) {
  test(`the chain answers 50 concurrent clients between hosts over IPv${ipVersion}`, async () => {
    await using chain = await startNetworkChain(ipVersion);
    const { statuses, errors } = await chain.load({
      ...{ paths: ["/order/{id}"], requests: 200, concurrency: 50 },
    });
    assert.deepEqual({ statuses, errors }, { statuses: { 200: 200 }, errors: {} });
  });
}
