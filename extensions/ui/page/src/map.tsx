// SPDX-License-Identifier: Apache-2.0
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { apiUrl, useApi } from "./api.ts";
import type { MapEdge, MapNode, ServiceMap } from "./api-types.ts";
import { formatCount, formatNs, formatRate, shown } from "./format.ts";
import { MapDrawing, type MapShape, mapShape } from "./map-drawing.tsx";
import { Errors, Heads, Sheet, Waiting } from "./parts.tsx";
import { href, periodKey, periodParameters } from "./route.ts";

const ROWS_MAX = 200;
const REFRESH_MS = 10_000;
const KINDS = {
  service: "service",
  database: "database",
  messaging: "queue",
  outside: "not watched",
} as const;

export function MapView(): JSX.Element {
  const answer = useApi<ServiceMap>(
    `map ${periodKey()}`,
    () => apiUrl("map", periodParameters()),
    REFRESH_MS,
  );
  const chosen = useSignal("");
  const map = answer.value;
  const shape = useMemo(() => (map === undefined ? undefined : mapShape(map)), [map]);
  return (
    <>
      <h1 class="unseen">Map</h1>
      <Waiting answer={answer} />
      {map?.truncated ? (
        <p class="note warn">There are more nodes or edges than are shown.</p>
      ) : null}
      {map !== undefined && map.nodes.length === 0 ? (
        <p class="empty">No calls in this time.</p>
      ) : null}
      {shape === undefined || shape.nodes.length === 0 ? null : (
        <>
          <section
            class={chosen.value === "" ? "sheet map-frame" : "sheet map-frame open"}
            aria-label="Map"
          >
            <MapDrawing
              shape={shape}
              chosen={chosen.value}
              choose={(id) => {
                chosen.value = chosen.value === id ? "" : id;
              }}
            />
            {chosen.value === "" ? null : <Chosen shape={shape} id={chosen.value} />}
          </section>
          <EdgeTable shape={shape} />
        </>
      )}
    </>
  );
}

function nodeName(node: MapNode | undefined): string {
  if (node === undefined) return "";
  return shown(node.name, 120) || node.system || "(no name)";
}

/** Spans of the callers that make an edge: where one sees what was asked of the other end. */
function tracesOf(shape: MapShape, edge: MapEdge): string {
  const [from, to] = [shape.byId.get(edge.from), shape.byId.get(edge.to)];
  if (to?.kind === "service") return href(["traces"], { service: to.name, kind: "server" });
  const kind = to?.kind === "messaging" ? "producer" : "client";
  return href(["traces"], { service: from?.name ?? "", kind });
}

function Chosen({ shape, id }: { shape: MapShape; id: string }): JSX.Element {
  const node = shape.byId.get(id);
  const incoming = shape.edges.filter(({ to }) => to === id);
  const outgoing = shape.edges.filter(({ from }) => from === id);
  return (
    <aside aria-label="Chosen">
      <h2>{nodeName(node)}</h2>
      <p class="quiet">
        {KINDS[node?.kind ?? "outside"]} {shown(node?.system ?? "", 60)} ·{" "}
        {formatCount(node?.requests)} requests ·{" "}
        <Errors errors={node?.errors ?? 0} requests={node?.requests ?? 0} /> errors · p95{" "}
        {formatNs(node?.p95Ns)}
      </p>
      {node?.kind === "service" ? (
        <p class="row">
          <a href={href(["traces"], { service: node.name })}>Traces</a>
          <a href={href(["traces"], { service: node.name, status: "error" })}>Errors</a>
          <a href={href([], { service: node.name })}>Operations</a>
        </p>
      ) : null}
      <Side title="Called by" shape={shape} edges={incoming} end="from" />
      <Side title="Calls" shape={shape} edges={outgoing} end="to" />
    </aside>
  );
}

function Side(props: {
  title: string;
  shape: MapShape;
  edges: readonly MapEdge[];
  end: "from" | "to";
}): JSX.Element | null {
  if (props.edges.length === 0) return null;
  return (
    <>
      <h3>{props.title}</h3>
      <dl class="facts">
        {props.edges.slice(0, 50).map((edge) => (
          <>
            <dt>
              <a href={tracesOf(props.shape, edge)}>
                {nodeName(props.shape.byId.get(edge[props.end]))}
              </a>
            </dt>
            <dd>
              {shown(edge.protocol, 40)} {formatRate(edge.rate)} p95 {formatNs(edge.p95Ns)}{" "}
              <Errors errors={edge.errors} requests={edge.requests} /> errors
              {edge.rewritten > 0 ? <span class="tag"> NAT</span> : null}
            </dd>
          </>
        ))}
      </dl>
    </>
  );
}

/** The same as the drawing, for who reads rather than sees it. */
function EdgeTable({ shape }: { shape: MapShape }): JSX.Element {
  const busiest = shape.edges.toSorted((a, b) => b.rate - a.rate).slice(0, ROWS_MAX);
  const rest = shape.edges.length - busiest.length;
  return (
    <Sheet
      title="Calls"
      aside={`${shape.nodes.length} nodes, ${shape.edges.length} edges${rest > 0 ? `, the busiest ${ROWS_MAX} below` : ""}`}
    >
      <div class="scroll">
        <table>
          <Heads
            names={[
              "From",
              "To",
              "Protocol",
              "#Rate",
              "#Errors",
              "#p50",
              "#p95",
              "#p99",
              "Address",
            ]}
          />
          <tbody>
            {busiest.map((edge) => (
              <tr key={`${edge.from} ${edge.to} ${edge.protocol}`}>
                <th scope="row">{nodeName(shape.byId.get(edge.from))}</th>
                <td>
                  <a href={tracesOf(shape, edge)}>{nodeName(shape.byId.get(edge.to))}</a>
                </td>
                <td>{shown(edge.protocol, 40)}</td>
                <td class="number">{formatRate(edge.rate)}</td>
                <td class="number">
                  <Errors errors={edge.errors} requests={edge.requests} />
                </td>
                <td class="number">{formatNs(edge.p50Ns)}</td>
                <td class="number">{formatNs(edge.p95Ns)}</td>
                <td class="number">{formatNs(edge.p99Ns)}</td>
                <td class="quiet">
                  {edge.rewritten > 0
                    ? `rewritten (NAT) in ${formatCount(edge.rewritten)} spans`
                    : ""}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Sheet>
  );
}
