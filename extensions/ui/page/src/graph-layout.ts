// SPDX-License-Identifier: Apache-2.0
// Places a directed graph in columns from callers to called: cycles are cut, columns are longest
// paths, the order in a column follows the neighbours' mean, and rows are the least squares to
// the neighbours that keep that order. Deterministic; linear in size but for the sorting.

export interface LayoutEdge {
  readonly from: number;
  readonly to: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Layout {
  /** Centres, by node. */
  readonly nodes: readonly Point[];
  /** Points an edge passes, from its caller to what it calls, by edge. */
  readonly edges: readonly (readonly Point[])[];
  readonly width: number;
  readonly height: number;
}

export interface LayoutSize {
  readonly nodeCount: number;
  readonly columnWidth: number;
  readonly rowHeight: number;
}

const ORDER_SWEEPS = 12;
const ROW_SWEEPS = 8;
/** Beyond it long edges are drawn straight, without places kept free for them. */
const BENDS_MAX = 4_000;
const BEND_SHARE = 0.4;

interface Grid {
  /** By node, then by bend. */
  readonly columnOf: number[];
  readonly columns: number[][];
  readonly before: number[][];
  readonly after: number[][];
  /** Chain of nodes and bends, by edge. */
  readonly chains: number[][];
  readonly nodeCount: number;
}

export function layoutGraph(edges: readonly LayoutEdge[], size: LayoutSize): Layout {
  const { nodeCount, columnWidth, rowHeight } = size;
  const forward = withoutCycles(edges, nodeCount);
  const grid = gridOf(edges, forward, columnsOf(edges, forward, nodeCount));
  orderColumns(grid);
  const rows = placeRows(grid, rowHeight);
  const top = rows.reduce((least, row) => Math.min(least, row), Number.POSITIVE_INFINITY);
  const at = (id: number): Point => ({
    x: ((grid.columnOf[id] ?? 0) + 0.5) * columnWidth,
    y: (rows[id] ?? 0) - top + rowHeight / 2,
  });
  const nodes = Array.from({ length: nodeCount }, (_, id) => at(id));
  const bottom = rows.reduce((most, row) => Math.max(most, row), top);
  return {
    nodes,
    edges: grid.chains.map((chain) => chain.map(at)),
    width: Math.max(1, grid.columns.length) * columnWidth,
    height: nodeCount === 0 ? rowHeight : bottom - top + rowHeight,
  };
}

/** By edge: does it point forward once the edges that close a cycle are turned? */
function withoutCycles(edges: readonly LayoutEdge[], nodeCount: number): boolean[] {
  const outgoing: number[][] = Array.from({ length: nodeCount }, () => []);
  const incoming = new Array<number>(nodeCount).fill(0);
  for (const [index, { from, to }] of edges.entries()) {
    if (from === to) continue;
    outgoing[from]?.push(index);
    incoming[to] = (incoming[to] ?? 0) + 1;
  }
  const forward = new Array<boolean>(edges.length).fill(true);
  const state = new Uint8Array(nodeCount);
  // Entry points first, so that what is turned is the way back and not the way there.
  const starts = Array.from({ length: nodeCount }, (_, id) => id).sort(
    (a, b) => Number((incoming[a] ?? 0) > 0) - Number((incoming[b] ?? 0) > 0) || a - b,
  );
  for (const start of starts) {
    if (state[start] !== 0) continue;
    const path = [{ id: start, next: 0 }];
    state[start] = 1;
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const index = outgoing[top.id]?.[top.next];
      top.next += 1;
      if (index === undefined) {
        state[top.id] = 2;
        path.pop();
        continue;
      }
      const to = edges[index]?.to ?? 0;
      if (state[to] === 1) forward[index] = false;
      else if (state[to] === 0) {
        state[to] = 1;
        path.push({ id: to, next: 0 });
      }
    }
  }
  return forward;
}

/** The column of each node: one more than the furthest of its callers. */
function columnsOf(
  edges: readonly LayoutEdge[],
  forward: readonly boolean[],
  nodeCount: number,
): number[] {
  const outgoing: number[][] = Array.from({ length: nodeCount }, () => []);
  const waiting = new Array<number>(nodeCount).fill(0);
  for (const [index, edge] of edges.entries()) {
    if (edge.from === edge.to) continue;
    const [from, to] = forward[index] ? [edge.from, edge.to] : [edge.to, edge.from];
    outgoing[from]?.push(to);
    waiting[to] = (waiting[to] ?? 0) + 1;
  }
  const column = new Array<number>(nodeCount).fill(0);
  const ready = column.map((_, id) => id).filter((id) => waiting[id] === 0);
  for (let at = 0; at < ready.length; at += 1) {
    const from = ready[at] ?? 0;
    for (const to of outgoing[from] ?? []) {
      column[to] = Math.max(column[to] ?? 0, (column[from] ?? 0) + 1);
      waiting[to] = (waiting[to] ?? 0) - 1;
      if (waiting[to] === 0) ready.push(to);
    }
  }
  return column;
}

function gridOf(
  edges: readonly LayoutEdge[],
  forward: readonly boolean[],
  columnOf: number[],
): Grid {
  const nodeCount = columnOf.length;
  const columns: number[][] = [];
  const before: number[][] = columnOf.map(() => []);
  const after: number[][] = columnOf.map(() => []);
  for (const [id, column] of columnOf.entries()) {
    columns[column] ??= [];
    columns[column].push(id);
  }
  const bends = edges.reduce((sum, { from, to }) => sum + bendsOf(columnOf, from, to), 0);
  const chains = edges.map(({ from, to }, index) => {
    const [first, last] = forward[index] ? [from, to] : [to, from];
    const chain = [first];
    if (bends <= BENDS_MAX) {
      for (let column = (columnOf[first] ?? 0) + 1; column < (columnOf[last] ?? 0); column += 1) {
        const bend = columnOf.length;
        columnOf.push(column);
        columns[column]?.push(bend);
        before.push([]);
        after.push([]);
        chain.push(bend);
      }
    }
    chain.push(last);
    for (let at = 1; at < chain.length; at += 1) {
      const [left = 0, right = 0] = [chain[at - 1], chain[at]];
      after[left]?.push(right);
      before[right]?.push(left);
    }
    return forward[index] ? chain : chain.reverse();
  });
  return { columnOf, columns: columns.map((ids) => ids ?? []), before, after, chains, nodeCount };
}

function bendsOf(columnOf: readonly number[], from: number, to: number): number {
  return Math.max(0, Math.abs((columnOf[from] ?? 0) - (columnOf[to] ?? 0)) - 1);
}

function orderColumns({ columns, columnOf, before, after }: Grid): void {
  const place = new Array<number>(columnOf.length).fill(0);
  const number = (ids: readonly number[]): void => {
    for (const [row, id] of ids.entries()) place[id] = row - ids.length / 2;
  };
  for (const ids of columns) number(ids);
  for (let sweep = 0; sweep < ORDER_SWEEPS; sweep += 1) {
    const isForward = sweep % 2 === 0;
    const neighbours = isForward ? before : after;
    for (const ids of isForward ? columns : columns.toReversed()) {
      const wish = new Map(ids.map((id) => [id, meanOf(neighbours[id], place, place[id] ?? 0)]));
      ids.sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0) || a - b);
      number(ids);
    }
  }
}

function meanOf(ids: readonly number[] | undefined, values: readonly number[], own: number) {
  if (ids === undefined || ids.length === 0) return own;
  return ids.reduce((sum, id) => sum + (values[id] ?? 0), 0) / ids.length;
}

function placeRows({ columns, columnOf, before, after, nodeCount }: Grid, rowHeight: number) {
  const rows = new Array<number>(columnOf.length).fill(0);
  const heightOf = (id: number): number => (id < nodeCount ? rowHeight : rowHeight * BEND_SHARE);
  const settle = (ids: readonly number[], wishes: readonly number[]): void => {
    const offsets: number[] = [];
    let offset = 0;
    for (const [at, id] of ids.entries()) {
      if (at > 0) offset += (heightOf(ids[at - 1] ?? 0) + heightOf(id)) / 2;
      offsets.push(offset);
    }
    const free = nondecreasing(wishes.map((wish, at) => wish - (offsets[at] ?? 0)));
    for (const [at, id] of ids.entries()) rows[id] = (free[at] ?? 0) + (offsets[at] ?? 0);
  };
  for (const ids of columns) {
    const half = ids.reduce((sum, id) => sum + heightOf(id), 0) / 2;
    settle(ids, new Array<number>(ids.length).fill(-half));
  }
  for (let sweep = 0; sweep < ROW_SWEEPS; sweep += 1) {
    const isForward = sweep % 2 === 0;
    const neighbours = isForward ? before : after;
    for (const ids of isForward ? columns : columns.toReversed()) {
      settle(
        ids,
        ids.map((id) => meanOf(neighbours[id], rows, rows[id] ?? 0)),
      );
    }
  }
  return rows;
}

/** The nearest non-decreasing sequence by least squares: pool adjacent violators. */
export function nondecreasing(values: readonly number[]): number[] {
  const pools: { sum: number; count: number }[] = [];
  for (const value of values) {
    let pool = { sum: value, count: 1 };
    for (
      let last = pools.at(-1);
      last !== undefined && last.sum / last.count > pool.sum / pool.count;
      last = pools.at(-1)
    ) {
      pools.pop();
      pool = { sum: last.sum + pool.sum, count: last.count + pool.count };
    }
    pools.push(pool);
  }
  return pools.flatMap(({ sum, count }) => new Array<number>(count).fill(sum / count));
}
