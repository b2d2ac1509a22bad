// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { RouteTable } from "./route.ts";

function find(table: RouteTable, path: string, learn = true): string | undefined {
  const bytes = Buffer.from(path, "latin1");
  return table.find(bytes, 0, bytes.length, learn)?.name;
}

function routeOf(path: string): string | undefined {
  return find(new RouteTable(10), path);
}

describe("routes", () => {
  it("keep names and replace values", () => {
    const cases: readonly (readonly [string, string])[] = [
      ["/", "/"],
      ["/api/v1/orders", "/api/v1/orders"],
      ["/api/v1/orders/", "/api/v1/orders/"],
      ["/orders/17", "/orders/{id}"],
      ["/orders/17/items/3", "/orders/{id}/items/{id}"],
      ["/u/6e0f8b9c-8d2a-4f43-9d70-0c0f9a4f1b2e", "/u/{uuid}"],
      ["/blob/8f14e45fceea167a", "/blob/{hex}"],
      ["/days/2026-11-22", "/days/{date}"],
      ["/users/anna@example.org/mail", "/users/{email}/mail"],
      ["/t/eyJhbGciOiJIUzI1NiIsInR5cCI6", "/t/{token}"],
      ["/search/hello%20world", "/search/{text}"],
      ["/order-17/x", "/{id}/x"],
      ["/customers/cus20391", "/customers/{id}"],
      ["/at/48.1371,11.5754", "/at/{id}"],
      ["/geo/48.1371", "/geo/{id}"],
      ["/a/v2.0/s3/oauth2", "/a/v2.0/s3/oauth2"],
      ["/cafe/decade", "/cafe/decade"],
      ["/x;jsessionid=AB12/y", "/x/y"],
      ["/assets/app.js", "/assets/app.js"],
    ];
    for (const [path, route] of cases) assert.equal(routeOf(path), route);
  });

  it("end in /* when they have too many segments or bytes", () => {
    assert.equal(routeOf("/a".repeat(40)), `${"/a".repeat(12)}/*`);
    const long = routeOf(`/${"ab/".repeat(8)}${"x".repeat(60)}/`.repeat(3)) ?? "";
    assert.ok(long.endsWith("/*") && long.length < 700);
  });

  it("are bounded: a new one becomes its first segment", () => {
    const table = new RouteTable(2);
    assert.equal(find(table, "/shop/a"), "/shop/a");
    assert.equal(find(table, "/admin/b"), "/admin/b");
    assert.equal(find(table, "/shop/c"), "/shop/*");
    assert.equal(find(table, "/else/c"), "/*");
    assert.equal(find(table, "/shop/a"), "/shop/a");
  });

  it("are not learnt from a path that the server does not have", () => {
    const table = new RouteTable(2);
    assert.equal(find(table, "/shop/a", false), undefined);
    find(table, "/shop/a");
    assert.equal(find(table, "/shop/a", false), "/shop/a");
  });

  it("stay few and short whatever the paths are", () => {
    const table = new RouteTable(20);
    const check = (tail: Uint8Array): void => {
      const path = Buffer.concat([Buffer.from("/"), tail]);
      const route = table.find(path, 0, path.length, true);
      assert.ok(route !== undefined && route.utf8.length < 700);
      assert.ok(table.count <= 40);
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2000, size: "max" }), check));
  });
});
