// SPDX-License-Identifier: Apache-2.0
// A small shop, as a live agent would describe it; tests change what they are about.
import type * as api from "../../extensions/ui/page/src/api-types.ts";
import type { Scenario } from "./fake-api.ts";

const NOW_US = Date.now() * 1e3;
const STEPS = 60;

const red = (requests: number, errors: number, p50Ms: number) => ({
  requests,
  errors,
  rate: requests / 3_600,
  p50Ns: p50Ms * 1e6,
  p95Ns: p50Ms * 3e6,
  p99Ns: p50Ms * 7e6,
});

function service(name: string, requests: number, errors: number, p50Ms: number): api.Service {
  const wave = (at: number): number => 1 + Math.sin(at / 6) / 3 + ((at * 7919) % 13) / 40;
  const steps = Array.from({ length: STEPS }, (_, at) => at);
  return {
    name,
    ...red(requests, errors, p50Ms),
    series: {
      requests: steps.map((at) => Math.round((requests / STEPS) * wave(at))),
      errors: steps.map((at) => (errors > 0 && at % 17 === 3 ? errors / 4 : 0)),
      p95Ns: steps.map((at) => p50Ms * 3e6 * wave(at + 20)),
    },
  };
}

export const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";

export function span(spanId: string, changes: Partial<api.TraceSpan> = {}): api.TraceSpan {
  return {
    spanId,
    parentSpanId: "",
    name: "GET /order/{id}",
    resource: 0,
    scope: 0,
    kind: "server",
    status: "unset",
    statusMessage: "",
    offsetNs: 0,
    durationNs: 5.6e6,
    attributes: [
      ["http.request.method", "GET"],
      ["http.route", "/order/{id}"],
      ["http.response.status_code", 200],
    ],
    events: [],
    links: [],
    evidence: "",
    confidence: null,
    warnings: [],
    ...changes,
  };
}

/** nginx → orders → prices → stock, as the demo of `npm start` draws it. */
export function demoTrace(): api.Trace {
  const client = { kind: "client", name: "GET" } as const;
  const spans = [
    span("a1"),
    span("a2", {
      ...client,
      parentSpanId: "a1",
      offsetNs: 1e5,
      durationNs: 5.4e6,
      evidence: "same_thread",
      confidence: 1,
    }),
    span("b1", {
      parentSpanId: "a2",
      resource: 1,
      offsetNs: 1.5e5,
      durationNs: 5.3e6,
      evidence: "byte_name",
      confidence: 1,
    }),
    span("b2", {
      ...client,
      parentSpanId: "b1",
      resource: 1,
      offsetNs: 6e5,
      durationNs: 4.3e6,
      evidence: "event_loop",
      confidence: 0.95,
    }),
    span("c1", {
      parentSpanId: "b2",
      resource: 2,
      name: "GET /price/{id}",
      offsetNs: 6.2e5,
      durationNs: 4.2e6,
      evidence: "byte_name",
      confidence: 1,
    }),
    span("c2", {
      ...client,
      parentSpanId: "c1",
      resource: 2,
      offsetNs: 1.1e6,
      durationNs: 3.5e6,
      evidence: "inference",
      confidence: 0.985,
      status: "error",
      statusMessage: "503",
    }),
    span("d1", {
      parentSpanId: "c2",
      resource: 3,
      name: "GET /stock/{id}",
      offsetNs: 1.2e6,
      durationNs: 1.1e5,
      evidence: "byte_name",
      confidence: 1,
      status: "error",
      events: [
        { offsetNs: 1.25e6, name: "exception", attributes: [["exception.type", "OutOfStock"]] },
      ],
    }),
  ];
  return {
    traceId: TRACE_ID,
    startUs: NOW_US - 60e6,
    durationNs: 5.6e6,
    resources: ["nginx", "orders", "prices", "stock"].map((name) => ({
      service: name,
      attributes: [
        ["service.name", name],
        ["process.pid", 4711],
      ],
    })),
    scopes: [{ name: "backstitch/ebpf_l7", version: "0.1.0" }],
    spans,
    spansTotal: spans.length,
    truncated: false,
  };
}

const SERVICES = [
  service("nginx", 7_200, 14, 5.6),
  service("orders", 7_200, 14, 5.1),
  service("prices", 7_150, 14, 3.9),
  service("stock", 7_150, 7, 0.12),
];

function demoMap(): api.ServiceMap {
  const chain = ["nginx", "orders", "prices", "stock"];
  const node = (id: string, kind: api.MapNode["kind"], system = ""): api.MapNode => ({
    id: `${kind}:${id}`,
    name: id,
    kind,
    system,
    requests: 7_000,
    errors: id === "stock" ? 90 : 0,
    p95Ns: 4e6,
  });
  const edge = (from: string, to: string, protocol: string, rewritten = 0): api.MapEdge => ({
    from,
    to,
    protocol,
    rewritten,
    ...red(7_000, to === "service:stock" ? 90 : 0, 2),
  });
  return {
    nodes: [
      ...chain.map((name) => node(name, "service")),
      node("shop", "database", "postgresql"),
      node("orders.created", "messaging", "kafka"),
      node("api.payments.example", "outside"),
    ],
    edges: [
      edge("service:nginx", "service:orders", "http"),
      edge("service:orders", "service:prices", "http", 6_990),
      edge("service:prices", "service:stock", "grpc"),
      edge("service:orders", "database:shop", "postgresql"),
      edge("service:orders", "messaging:orders.created", "kafka"),
      edge("messaging:orders.created", "service:stock", "kafka"),
      edge("service:orders", "outside:api.payments.example", "http"),
    ],
    truncated: false,
  };
}

function demoSpans(count: number): api.FoundSpan[] {
  return Array.from({ length: count }, (_, at) => ({
    traceId: TRACE_ID,
    spanId: `s${at}`,
    parentSpanId: "",
    service: "orders",
    name: "GET /order/{id}",
    kind: "server",
    status: at % 61 === 5 ? "error" : "unset",
    startUs: NOW_US - at * 6e6,
    durationNs: 5e6 * (1 + ((at * 7919) % 100) / 40) * (at % 83 === 0 ? 30 : 1),
  }));
}

function demoAgent(): api.Agent {
  // A counter that grows by 100 a second.
  const grown = Math.floor(performance.now() / 10);
  const line = (
    component: string,
    kind: api.AccountLine["kind"],
    metric: string,
    meaning: api.AccountLine["meaning"],
    value: number,
    labels: Record<string, string> = {},
  ): api.AccountLine => ({ component, kind, metric, meaning, value, labels });
  return {
    version: "0.1.0",
    uptimeSeconds: 4_321,
    pipelines: [
      {
        id: "traces",
        signal: "traces",
        receivers: ["ebpf_l7"],
        processors: ["span_stitch", "batch"],
        exporters: ["store", "otlp_grpc"],
      },
      {
        id: "metrics",
        signal: "metrics",
        receivers: ["ebpf_l7"],
        processors: [],
        exporters: ["otlp_grpc"],
      },
    ],
    extensions: ["discovery", "ui"],
    metrics: [],
    queues: [{ exporter: "otlp_grpc", dataType: "traces", size: 230, capacity: 1_000 }],
    account: [
      line("ebpf_l7", "receiver", "otelcol_receiver_accepted_spans", "out", grown),
      line("span_stitch", "processor", "otelcol_processor_incoming_items", "in", grown, {
        otel_signal: "traces",
      }),
      line("span_stitch", "processor", "otelcol_processor_outgoing_items", "out", grown - 12, {
        otel_signal: "traces",
      }),
      line("otlp_grpc", "exporter", "otelcol_exporter_sent_spans", "out", grown - 40),
      line("otlp_grpc", "exporter", "backstitch_exporter_dropped_spans", "lost", 28, {
        reason: "retries_exhausted",
      }),
    ],
    cost: {
      cpuSeconds: 81.5 + performance.now() / 1e5,
      memoryBytes: 142e6,
      heapBytes: 38e6,
      kernelSeconds: 12.5,
    },
    probes: [
      { name: "socket_recv", attached: true, reason: "" },
      { name: "tls_read", attached: false, reason: "No target has libssl" },
    ],
  };
}

export function demoScenario(): Scenario {
  const [first] = SERVICES;
  return {
    status: {
      version: "0.1.0",
      nowUs: NOW_US,
      store: {
        directory: "data/traces",
        segments: 3,
        spans: 50_311,
        bytes: 4.2e6,
        bytesMax: 1e9,
        oldestUs: NOW_US - 3.6e9,
        newestUs: NOW_US,
        setAside: [],
        dropped: [],
      },
      jaegerUrl: "http://jaeger.example:16686/trace/{traceId}",
    },
    services: {
      startUs: NOW_US - 3.6e9,
      endUs: NOW_US,
      stepSeconds: 60,
      services: SERVICES,
      truncated: false,
    },
    operations: {
      service: first?.name ?? "",
      operations: [{ name: "GET /order/{id}", kind: "server", ...red(7_200, 14, 5.6) }],
    },
    map: demoMap(),
    search: () => ({ spans: demoSpans(500), scanned: 50_311, elapsedMs: 12, truncated: false }),
    traces: () => ({
      traces: [
        {
          traceId: TRACE_ID,
          rootService: "nginx",
          rootName: "GET /order/{id}",
          startUs: NOW_US - 60e6,
          durationNs: 5.6e6,
          spans: 7,
          errors: 2,
          services: SERVICES.map(({ name }) => ({ name, spans: 2 })),
        },
      ],
      scanned: 50_311,
      elapsedMs: 12,
      truncated: false,
    }),
    trace: (id) => (id === TRACE_ID ? demoTrace() : undefined),
    otlp: { resourceSpans: [{ scopeSpans: [{ spans: [{ traceId: TRACE_ID, spanId: "a1" }] }] }] },
    agent: demoAgent,
    history: {
      metric: "otelcol_process_memory_rss",
      stepSeconds: 10,
      endUs: NOW_US,
      series: [{ labels: {}, values: Array.from({ length: 100 }, (_, at) => 1e6 * (100 + at)) }],
    },
    processes: {
      processes: [
        {
          pid: 4711,
          name: "nginx",
          exe: "/usr/sbin/nginx",
          ports: [8080],
          watched: true,
          service: "nginx",
          reason: "",
          targets: [{ exe: "/usr/sbin/nginx" }],
        },
        {
          pid: 4712,
          name: "postgres",
          exe: "/usr/lib/postgresql/15/bin/postgres",
          ports: [5432],
          watched: false,
          service: "",
          reason: "not_selected",
          targets: [{ ports: "5432" }, { exe: "/usr/lib/postgresql/15/bin/postgres" }],
        },
        {
          pid: 4713,
          name: "redis-server",
          exe: "/usr/bin/redis-server",
          ports: [6379],
          watched: false,
          service: "",
          reason: "not_selected",
          targets: [{ ports: "6379" }],
        },
        {
          pid: 1,
          name: "backstitch",
          exe: "/usr/bin/node",
          ports: [16680],
          watched: false,
          service: "",
          reason: "agent",
          targets: [],
        },
      ],
      unseen: [{ reason: "tls", count: 14 }],
      truncated: false,
    },
  };
}
