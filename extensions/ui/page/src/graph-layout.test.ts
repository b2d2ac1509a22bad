// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { layoutGraph, nondecreasing } from "./graph-layout.ts";

const SIZE = { columnWidth: 100, rowHeight: 20 } as const;

test("a caller stands left of what it calls", () => {
  const edges = [
    { from: 0, to: 1 },
    { from: 1, to: 2 },
    { from: 0, to: 2 },
  ];
  const { nodes, width } = layoutGraph(edges, { ...SIZE, nodeCount: 3 });
  assert.deepEqual(
    nodes.map(({ x }) => x),
    [50, 150, 250],
  );
  assert.equal(width, 300);
});

test("a cycle keeps the entry point on the left, and an edge to itself is drawn", () => {
  const edges = [
    { from: 1, to: 2 },
    { from: 2, to: 1 },
    { from: 0, to: 1 },
    { from: 2, to: 2 },
  ];
  const layout = layoutGraph(edges, { ...SIZE, nodeCount: 3 });
  assert.deepEqual(
    layout.nodes.map(({ x }) => x),
    [50, 150, 250],
  );
  assert.deepEqual(layout.edges[3], [layout.nodes[2], layout.nodes[2]]);
});

test("two chains side by side do not cross", () => {
  const edges = [
    { from: 0, to: 3 },
    { from: 1, to: 2 },
  ];
  const { nodes } = layoutGraph(edges, { ...SIZE, nodeCount: 4 });
  const rows = nodes.map(({ y }) => y);
  assert.equal(
    Math.sign((rows[0] ?? 0) - (rows[1] ?? 0)),
    Math.sign((rows[3] ?? 0) - (rows[2] ?? 0)),
  );
});

test("of any graph, every node has a place of its own inside the frame", () => {
  const graph = fc.integer({ min: 1, max: 40 }).chain((nodeCount) => {
    const node = fc.nat({ max: nodeCount - 1 });
    return fc.record({
      nodeCount: fc.constant(nodeCount),
      edges: fc.array(fc.record({ from: node, to: node }), { maxLength: 120 }),
    });
  });
  fc.assert(
    fc.property(graph, ({ nodeCount, edges }) => {
      const layout = layoutGraph(edges, { ...SIZE, nodeCount });
      assert.equal(layout.nodes.length, nodeCount);
      for (const [index, { x, y }] of layout.nodes.entries()) {
        assert.ok(x >= 0 && x <= layout.width && y >= 0 && y <= layout.height);
        for (const other of layout.nodes.slice(index + 1)) {
          assert.ok(x !== other.x || Math.abs(y - other.y) > SIZE.rowHeight - 1e-6);
        }
      }
      for (const [at, { from, to }] of edges.entries()) {
        assert.deepEqual(layout.edges[at]?.[0], layout.nodes[from]);
        assert.deepEqual(layout.edges[at]?.at(-1), layout.nodes[to]);
      }
    }),
  );
});

test("pooling gives the nearest sequence that does not fall", () => {
  assert.deepEqual(nondecreasing([1, 2, 3]), [1, 2, 3]);
  assert.deepEqual(nondecreasing([3, 1]), [2, 2]);
  assert.deepEqual(nondecreasing([1, 5, 2, 2, 9]), [1, 3, 3, 3, 9]);
});
