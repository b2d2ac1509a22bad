// SPDX-License-Identifier: Apache-2.0
// The answers of /api/ui as docs/store-api.md has them. Names and texts in them are whatever an
// application sent.

export interface Status {
  readonly version: string;
  readonly nowUs: number;
  readonly store?: {
    readonly directory: string;
    readonly segments: number;
    readonly spans: number;
    readonly bytes: number;
    readonly bytesMax: number;
    readonly oldestUs: number;
    readonly newestUs: number;
    readonly setAside: readonly { readonly file: string; readonly reason: string }[];
    readonly dropped: readonly { readonly reason: string; readonly spans: number }[];
    readonly problem?: string;
  };
  readonly jaegerUrl?: string;
}

interface Red {
  readonly requests: number;
  readonly errors: number;
  readonly rate: number;
  readonly p50Ns: number;
  readonly p95Ns: number;
  readonly p99Ns: number;
}

export interface Service extends Red {
  readonly name: string;
  readonly series: {
    readonly requests: readonly number[];
    readonly errors: readonly number[];
    readonly p95Ns: readonly number[];
  };
}

export interface Services {
  readonly startUs: number;
  readonly endUs: number;
  readonly stepSeconds: number;
  readonly services: readonly Service[];
  readonly truncated: boolean;
}

export interface Operations {
  readonly service: string;
  readonly operations: readonly (Red & { readonly name: string; readonly kind: string })[];
}

export interface MapNode {
  readonly id: string;
  readonly name: string;
  readonly kind: "service" | "database" | "messaging" | "outside";
  readonly system: string;
  readonly requests: number;
  readonly errors: number;
  readonly p95Ns: number;
}

export interface MapEdge extends Red {
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly rewritten: number;
}

export interface ServiceMap {
  readonly nodes: readonly MapNode[];
  readonly edges: readonly MapEdge[];
  readonly truncated: boolean;
}

export interface FoundSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly service: string;
  readonly name: string;
  readonly kind: string;
  readonly status: "unset" | "ok" | "error";
  readonly startUs: number;
  readonly durationNs: number;
}

export interface Search {
  readonly spans: readonly FoundSpan[];
  readonly scanned: number;
  readonly elapsedMs: number;
  readonly truncated: boolean;
}

export interface FoundTrace {
  readonly traceId: string;
  readonly rootService: string;
  readonly rootName: string;
  readonly startUs: number;
  readonly durationNs: number;
  readonly spans: number;
  readonly errors: number;
  readonly services: readonly { readonly name: string; readonly spans: number }[];
}

export interface Traces {
  readonly traces: readonly FoundTrace[];
  readonly scanned: number;
  readonly elapsedMs: number;
  readonly truncated: boolean;
}

export type Value =
  | string
  | number
  | boolean
  | null
  | readonly Value[]
  | { readonly [key: string]: Value };
export type Attribute = readonly [string, Value];

export interface TraceSpan {
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly resource: number;
  readonly scope: number;
  readonly kind: string;
  readonly status: "unset" | "ok" | "error";
  readonly statusMessage: string;
  readonly offsetNs: number;
  readonly durationNs: number;
  readonly attributes: readonly Attribute[];
  readonly events: readonly {
    readonly offsetNs: number;
    readonly name: string;
    readonly attributes: readonly Attribute[];
  }[];
  readonly links: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly attributes: readonly Attribute[];
  }[];
  readonly evidence: string;
  readonly confidence: number | null;
  readonly warnings: readonly string[];
}

export interface Trace {
  readonly traceId: string;
  readonly startUs: number;
  readonly durationNs: number;
  readonly resources: readonly {
    readonly service: string;
    readonly attributes: readonly Attribute[];
  }[];
  readonly scopes: readonly { readonly name: string; readonly version: string }[];
  readonly spans: readonly TraceSpan[];
  readonly spansTotal: number;
  readonly truncated: boolean;
}

export interface AccountLine {
  readonly component: string;
  readonly kind: "receiver" | "processor" | "exporter";
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly meaning: "in" | "out" | "lost" | "held";
  readonly value: number;
}

export interface Agent {
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly pipelines: readonly {
    readonly id: string;
    readonly signal: string;
    readonly receivers: readonly string[];
    readonly processors: readonly string[];
    readonly exporters: readonly string[];
  }[];
  readonly extensions: readonly string[];
  readonly metrics: readonly {
    readonly name: string;
    readonly kind: "counter" | "gauge" | "histogram";
    readonly unit: string;
    readonly description: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
  readonly queues: readonly {
    readonly exporter: string;
    readonly dataType: string;
    readonly size: number;
    readonly capacity: number;
  }[];
  readonly account: readonly AccountLine[];
  readonly cost: {
    readonly cpuSeconds: number;
    readonly memoryBytes: number;
    readonly heapBytes: number;
    readonly kernelSeconds: number | null;
  };
  readonly probes: readonly {
    readonly name: string;
    readonly attached: boolean;
    readonly reason: string;
  }[];
}

export interface History {
  readonly metric: string;
  readonly stepSeconds: number;
  readonly endUs: number;
  readonly series: readonly {
    readonly labels: Readonly<Record<string, string>>;
    readonly values: readonly (number | null)[];
  }[];
}

export interface Target {
  readonly ports?: string;
  readonly exe?: string;
  readonly command?: string;
}

export interface FoundProcess {
  readonly pid: number;
  readonly name: string;
  readonly exe: string;
  readonly ports: readonly number[];
  readonly watched: boolean;
  readonly service: string;
  readonly reason: string;
  readonly targets: readonly Target[];
}

export interface Processes {
  readonly processes: readonly FoundProcess[];
  readonly unseen: readonly { readonly reason: string; readonly count: number }[];
  readonly truncated: boolean;
}
