// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { objectOf } from "./json.ts";
import { decodePod, decodeService, parseImage } from "./objects.ts";

const ALL = { label: () => true, annotation: () => true };

/** Where an image's name ends (distribution/reference: `[host[:port]/]path[:tag][@digest]`). */
test("an image's name, tag and digest are told apart, also with a port in the registry", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const cases = [
    ["nginx", "nginx", "latest", ""],
    ["nginx:1.29", "nginx", "1.29", ""],
    ["registry:5000/shop/cart", "registry:5000/shop/cart", "latest", ""],
    ["registry:5000/shop/cart:1.4", "registry:5000/shop/cart", "1.4", ""],
    [`quay.io/x/y@${digest}`, "quay.io/x/y", "", digest],
    [`quay.io/x/y:2@${digest}`, "quay.io/x/y", "2", digest],
  ] as const;
  for (const [image, name, tag, of] of cases) {
    assert.deepEqual(parseImage(image), { name, tag, digest: of });
  }
});

test("the controller is the owner, whatever stands before it", () => {
  const { owner } = decodePod(
    {
      metadata: {
        uid: "u",
        ownerReferences: [
          { kind: "Node", name: "n", uid: "1" },
          { kind: "StatefulSet", name: "db", uid: "2", controller: true },
        ],
      },
    },
    ALL,
  );
  assert.deepEqual(owner, { kind: "StatefulSet", name: "db", uid: "2" });
});

test("a Service has its cluster addresses and its load balancers', a headless one none", () => {
  const service = decodeService(
    {
      metadata: { uid: "u", name: "web", namespace: "shop" },
      spec: { clusterIP: "10.96.0.1", clusterIPs: ["10.96.0.1", "fd00::1"] },
      status: { loadBalancer: { ingress: [{ ip: "192.0.2.7" }, { hostname: "lb.example" }] } },
    },
    ALL,
  );
  assert.deepEqual(service.ips, ["10.96.0.1", "fd00::1", "192.0.2.7"]);
  assert.deepEqual(decodeService({ spec: { clusterIP: "None" } }, ALL).ips, []);
});

test("objects of any shape are decoded without an error", () => {
  const part = fc.oneof(fc.jsonValue(), fc.constant([{}]), fc.constant([null]));
  const pod = fc.record({
    metadata: fc.oneof(
      part,
      fc.record({ labels: part, annotations: part, ownerReferences: part, uid: part }),
    ),
    spec: fc.oneof(part, fc.record({ containers: part, nodeName: part, clusterIPs: part })),
    status: fc.oneof(part, fc.record({ containerStatuses: part, podIPs: part, podIP: part })),
  });
  fc.assert(
    fc.property(pod, (object) => {
      const { containers, ips, uid } = decodePod(objectOf(object), ALL);
      assert.ok(containers.every(({ name }) => typeof name === "string"));
      assert.ok(ips.every((ip) => typeof ip === "string"));
      assert.equal(typeof uid, "string");
      decodeService(objectOf(object), ALL);
    }),
  );
});
