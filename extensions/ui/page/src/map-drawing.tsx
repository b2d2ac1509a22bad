// SPDX-License-Identifier: Apache-2.0
import { useSignal } from "@preact/signals";
import type { JSX, TargetedPointerEvent } from "preact";
import { useRef } from "preact/hooks";
import type { MapEdge, MapNode, ServiceMap } from "./api-types.ts";
import { formatNs, formatRate, formatShare, shown } from "./format.ts";
import { type Layout, layoutGraph, type Point } from "./graph-layout.ts";

const NODE_WIDTH = 150;
const NODE_HEIGHT = 40;
const COLUMN_WIDTH = 270;
const ROW_HEIGHT = 64;
/** With more edges only those of the chosen node say what they carry. */
const LABELS_MAX = 60;
const ZOOM_STEP = 1.2;

export interface MapShape {
  readonly nodes: readonly MapNode[];
  readonly edges: readonly MapEdge[];
  readonly byId: ReadonlyMap<string, MapNode>;
  readonly layout: Layout;
  /** Edges by the node that they leave, and that they reach. */
  readonly leaving: ReadonlyMap<string, number>;
  readonly reaching: ReadonlyMap<string, number>;
}

/** Edges whose ends are both there, and where all is drawn. */
export function mapShape(map: ServiceMap): MapShape {
  const byId = new Map(map.nodes.map((node) => [node.id, node]));
  const place = new Map([...byId.keys()].map((id, at) => [id, at]));
  const edges = map.edges.filter(({ from, to }) => byId.has(from) && byId.has(to));
  const lines = edges.map(({ from, to }) => ({
    from: place.get(from) ?? 0,
    to: place.get(to) ?? 0,
  }));
  const nodes = [...byId.values()];
  const size = { nodeCount: nodes.length, columnWidth: COLUMN_WIDTH, rowHeight: ROW_HEIGHT };
  const leaving = counts(edges.map(({ from }) => from));
  const reaching = counts(edges.map(({ to }) => to));
  return { nodes, edges, byId, layout: layoutGraph(lines, size), leaving, reaching };
}

function counts(ids: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const id of ids) found.set(id, (found.get(id) ?? 0) + 1);
  return found;
}

interface MapDrawingProps {
  readonly shape: MapShape;
  readonly chosen: string;
  readonly choose: (id: string) => void;
}

interface MapView {
  readonly viewBox: string;
  magnify(factor: number): void;
  /** All of the map. */
  whole(): void;
  grab(event: PointerEvent): void;
  move(event: TargetedPointerEvent<SVGSVGElement>): void;
  release(): void;
}

/** Which part of the map is seen. */
function useMapView(layout: Layout): MapView {
  const zoom = useSignal(1);
  const shift = useSignal<Point>({ x: 0, y: 0 });
  const drag = useRef<{ readonly from: Point; readonly shift: Point } | undefined>(undefined);
  const width = layout.width / zoom.value;
  const height = layout.height / zoom.value;
  const x = (layout.width - width) / 2 + shift.value.x;
  const y = (layout.height - height) / 2 + shift.value.y;
  const magnify = (factor: number): void => {
    zoom.value = Math.max(0.5, Math.min(20, zoom.value * factor));
  };
  const whole = (): void => {
    zoom.value = 1;
    shift.value = { x: 0, y: 0 };
  };
  const move = (event: TargetedPointerEvent<SVGSVGElement>): void => {
    const { current } = drag;
    if (current === undefined) return;
    const scale = Math.max(
      width / event.currentTarget.clientWidth,
      height / event.currentTarget.clientHeight,
    );
    shift.value = {
      x: current.shift.x - (event.clientX - current.from.x) * scale,
      y: current.shift.y - (event.clientY - current.from.y) * scale,
    };
  };
  const release = (): void => {
    drag.current = undefined;
  };
  const grab = (event: PointerEvent): void => {
    drag.current = { from: { x: event.clientX, y: event.clientY }, shift: shift.value };
  };
  return { viewBox: `${x} ${y} ${width} ${height}`, magnify, whole, grab, move, release };
}

export function MapDrawing({ shape, chosen, choose }: MapDrawingProps): JSX.Element {
  const { layout } = shape;
  const { viewBox, magnify, whole, grab, move, release } = useMapView(layout);
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "+" || event.key === "=") magnify(ZOOM_STEP);
    else if (event.key === "-") magnify(1 / ZOOM_STEP);
    else if (event.key === "0") whole();
  };
  return (
    <div class="map-box">
      <div class="row zoom">
        <button type="button" aria-label="Larger" onClick={() => magnify(ZOOM_STEP)}>
          +
        </button>
        <button type="button" aria-label="Smaller" onClick={() => magnify(1 / ZOOM_STEP)}>
          −
        </button>
        <button type="button" onClick={whole}>
          All
        </button>
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be a drawing */}
      <svg
        class="map"
        viewBox={viewBox}
        role="group"
        aria-label={`${shape.nodes.length} nodes and ${shape.edges.length} calls; the table below has the same`}
        onKeyDown={onKey}
        onWheel={(event) => {
          // Without the key the wheel scrolls the page, as everywhere; a pinch comes with it.
          if (!event.ctrlKey) return;
          event.preventDefault();
          magnify(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP);
        }}
        onPointerDown={grab}
        onPointerMove={move}
        onPointerUp={release}
        onPointerLeave={release}
      >
        <Marks />
        {shape.edges.map((edge, at) => (
          <Edge
            key={at}
            shape={shape}
            edge={edge}
            points={layout.edges[at] ?? []}
            chosen={chosen}
            choose={choose}
          />
        ))}
        {shape.nodes.map((node, at) => (
          <Node
            key={node.id}
            shape={shape}
            node={node}
            at={layout.nodes[at]}
            chosen={chosen}
            choose={choose}
          />
        ))}
      </svg>
    </div>
  );
}

function Marks(): JSX.Element {
  return (
    <defs>
      <marker
        id="arrow"
        viewBox="0 0 8 8"
        refX="7"
        refY="4"
        markerWidth="8"
        markerHeight="8"
        markerUnits="userSpaceOnUse"
        orient="auto"
      >
        <path d="M0 0L8 4L0 8z" fill="context-stroke" />
      </marker>
    </defs>
  );
}

/** Leaves a node at its right side and reaches the next at its left; a call back bows around. */
function pathOf(points: readonly Point[]): string {
  const [first, ...others] = points;
  const last = others.at(-1);
  if (first === undefined || last === undefined) return "";
  const half = NODE_WIDTH / 2;
  if (first.x === last.x && first.y === last.y) {
    const [right, top] = [first.x + half, first.y];
    return `M${right} ${top - 8}c40 -30 40 46 0 16`;
  }
  const isBack = last.x < first.x;
  const start = { x: first.x + (isBack ? -half : half), y: first.y + (isBack ? 8 : 0) };
  const end = { x: last.x + (isBack ? half : -half), y: last.y + (isBack ? 8 : 0) };
  let path = `M${start.x} ${start.y}`;
  let from = start;
  for (const [at, point] of others.entries()) {
    const to = at === others.length - 1 ? end : point;
    const bow = (to.x - from.x) / 2;
    path += `C${from.x + bow} ${from.y} ${to.x - bow} ${to.y} ${to.x} ${to.y}`;
    from = to;
  }
  return path;
}

interface LabelAt extends Point {
  readonly anchor: "start" | "end";
}

/** At the end that fewer edges share, so that the labels of a fan do not lie on each other. */
function labelAt(shape: MapShape, edge: MapEdge, points: readonly Point[]): LabelAt {
  const [first = { x: 0, y: 0 }] = points;
  const last = points.at(-1) ?? first;
  const gap = NODE_WIDTH / 2 + 14;
  if (edge.from === edge.to) return { x: first.x + gap + 24, y: first.y, anchor: "start" };
  const isBack = last.x < first.x;
  // The edge comes from the other side.
  const [above, below] = [-21, 16];
  if ((shape.leaving.get(edge.from) ?? 0) >= (shape.reaching.get(edge.to) ?? 0)) {
    return {
      x: last.x + (isBack ? gap : -gap),
      y: last.y + (last.y > first.y ? below : above),
      anchor: isBack ? "start" : "end",
    };
  }
  return {
    x: first.x + (isBack ? -gap : gap),
    y: first.y + (last.y > first.y ? above : below),
    anchor: isBack ? "end" : "start",
  };
}

function Edge(props: {
  shape: MapShape;
  edge: MapEdge;
  points: readonly Point[];
  chosen: string;
  choose: (id: string) => void;
}): JSX.Element {
  const { edge, points, chosen, shape } = props;
  const isOfChosen = chosen === edge.from || chosen === edge.to;
  const isDim = chosen !== "" && !isOfChosen;
  const path = pathOf(points);
  const label = labelAt(shape, edge, points);
  const width = Math.min(6, 1 + Math.log10(1 + Math.max(0, edge.rate)));
  const hasLabel = isOfChosen || (chosen === "" && shape.edges.length <= LABELS_MAX);
  const share = edge.requests > 0 ? edge.errors / edge.requests : 0;
  const nat = edge.rewritten > 0 ? " ⇄ NAT" : "";
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a shortcut; nodes take the keys
    <g
      class={`edge${edge.errors > 0 ? " failing" : ""}${isDim ? " dim" : ""}`}
      onClick={() => props.choose(edge.to)}
    >
      <path class="reach" d={path} />
      <path d={path} stroke-width={width.toFixed(2)} marker-end="url(#arrow)" />
      {hasLabel ? (
        <text x={label.x} y={label.y} text-anchor={label.anchor}>
          <tspan>
            {shown(edge.protocol, 20)}
            {nat}
          </tspan>
          {share > 0 ? <tspan class="bad"> {formatShare(share)}</tspan> : null}
          <tspan x={label.x} dy="14" class="small">
            {formatRate(edge.rate)} · {formatNs(edge.p95Ns)}
          </tspan>
        </text>
      ) : null}
    </g>
  );
}

/** The second line of a node. */
function factsOf({ kind, system, requests, p95Ns }: MapNode, share: number): string {
  if (kind === "outside") return "not watched";
  const what = kind === "service" ? "" : shown(system, 14);
  const speed = requests === 0 ? "no requests seen" : `p95 ${formatNs(p95Ns)}`;
  const errors = share > 0 ? formatShare(share) : "";
  return [what, speed, errors].filter((part) => part !== "").join(" · ");
}

function Node(props: {
  shape: MapShape;
  node: MapNode;
  at: Point | undefined;
  chosen: string;
  choose: (id: string) => void;
}): JSX.Element {
  const { node, at = { x: 0, y: 0 }, chosen, shape } = props;
  const isNear =
    chosen === "" ||
    chosen === node.id ||
    shape.edges.some(
      ({ from, to }) => (from === chosen && to === node.id) || (to === chosen && from === node.id),
    );
  const share = node.requests > 0 ? node.errors / node.requests : 0;
  const name = shown(node.name, 200) || node.system || "(no name)";
  const title = name.length > 20 ? `${name.slice(0, 19)}…` : name;
  const facts = factsOf(node, share);
  const classes = `node ${node.kind}${share > 0.01 ? " failing" : ""}${chosen === node.id ? " chosen" : ""}${isNear ? "" : " dim"}`;
  const onKey = (event: KeyboardEvent): void => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    props.choose(node.id);
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a button cannot stand in a drawing
    <g
      class={classes}
      transform={`translate(${at.x - NODE_WIDTH / 2} ${at.y - NODE_HEIGHT / 2})`}
      role="button"
      tabindex={0}
      aria-pressed={chosen === node.id}
      onClick={() => props.choose(node.id)}
      onKeyDown={onKey}
    >
      <rect width={NODE_WIDTH} height={NODE_HEIGHT} rx={node.kind === "database" ? 14 : 4} />
      <text x="10" y="17">
        {title === name ? null : <title>{name}</title>}
        {title}{" "}
      </text>
      <text x="10" y="32" class={share > 0 ? "small bad" : "small"}>
        {facts}
      </text>
    </g>
  );
}
