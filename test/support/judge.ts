// SPDX-License-Identifier: Apache-2.0
import type { FlatSpan, SpanKind } from "./otlp-json.ts";

const EXAMPLES_MAX = 20;

/** One span that each request must have. */
export interface ExpectedSpan {
  /** Names this span within the expectation. */
  readonly key: string;
  readonly service: string;
  readonly kind: SpanKind;
  /** `stock` for the path `/stock/123`; any when left out. */
  readonly segment?: string;
  /** Key of the span of the same request that must be its parent; a root when left out. */
  readonly parent?: string;
}

export interface Expectation {
  /** The ids of all requests sent: the second segment of their paths. */
  readonly ids: Iterable<string | number>;
  readonly spans: readonly ExpectedSpan[];
  /** A root may name a parent that is not in the data: its client is not traced. Default false. */
  readonly danglingRoots?: boolean;
}

export interface Verdict {
  /** Requests sent; `right + incomplete + wrong`. */
  readonly requests: number;
  /** One trace, all spans once, all parents right. */
  readonly right: number;
  /** Nothing false, but a span or a link is not there. */
  readonly incomplete: number;
  /** Something false: a wrong parent, a span twice, two requests in one trace. */
  readonly wrong: number;
  readonly links: { readonly right: number; readonly wrong: number; readonly unlinked: number };
  readonly spans: {
    readonly expected: number;
    readonly missing: number;
    readonly repeated: number;
  };
  /** Spans of no expected request, or that no request should have. */
  readonly strays: number;
  /** The first 20 findings, each with the request's id. */
  readonly examples: readonly string[];
}

type Finding = "missing" | "repeated" | "unlinked" | "wrongLink" | "wrongTrace" | "wrongTime";
const HARMLESS: ReadonlySet<Finding> = new Set(["missing", "unlinked"]);

/**
 * Compares spans with the truth that is in their paths: a request's id is the second segment of
 * `url.path` (or of the path of `url.full`), for every span that the request caused.
 */
export function judgeTraces(spans: readonly FlatSpan[], expectation: Expectation): Verdict {
  return new Judge(spans, expectation).verdict();
}

/** The first two segments of the path in `url.path` or `url.full`; of `GET key:7` key and 7. */
export function pathOf(span: FlatSpan): { readonly segment: string; readonly id: string } {
  const asked = /^GET (\w+):(\d+)$/.exec(String(span.attributes.get("db.query.text") ?? ""));
  if (asked !== null) return { segment: asked[1] ?? "", id: asked[2] ?? "" };
  const path = span.attributes.get("url.path") ?? span.attributes.get("url.full");
  const match = /^(?:[a-z]+:\/\/[^/]+)?\/([^/?]*)\/([^/?]+)/.exec(String(path ?? ""));
  return { segment: match?.[1] ?? "", id: match?.[2] ?? "" };
}

class Judge {
  readonly #expectation: Expectation;
  readonly #byRequest = new Map<string, FlatSpan[]>();
  readonly #bySpanId = new Map<string, FlatSpan>();
  readonly #requestsOfTrace = new Map<string, Set<string>>();
  readonly #counts = {
    missing: 0,
    repeated: 0,
    unlinked: 0,
    wrongLink: 0,
    wrongTrace: 0,
    wrongTime: 0,
  };
  readonly #examples: string[] = [];
  readonly #sharedIds = new Set<string>();
  #strays = 0;
  #rightLinks = 0;

  constructor(spans: readonly FlatSpan[], expectation: Expectation) {
    this.#expectation = expectation;
    for (const id of expectation.ids) this.#byRequest.set(String(id), []);
    for (const span of spans) this.#take(span);
  }

  verdict(): Verdict {
    const results = { right: 0, incomplete: 0, wrong: 0 };
    for (const [id, spans] of this.#byRequest) {
      const findings = this.#findings(id, spans);
      if (findings.length === 0) results.right += 1;
      else if (findings.every((one) => HARMLESS.has(one))) results.incomplete += 1;
      else results.wrong += 1;
    }
    const { missing, repeated, unlinked, wrongLink } = this.#counts;
    const requests = this.#byRequest.size;
    return {
      requests,
      ...results,
      links: { right: this.#rightLinks, wrong: wrongLink, unlinked },
      spans: { expected: requests * this.#expectation.spans.length, missing, repeated },
      strays: this.#strays,
      examples: this.#examples,
    };
  }

  #take(span: FlatSpan): void {
    const { segment, id } = pathOf(span);
    if (this.#bySpanId.has(span.spanId)) this.#sharedIds.add(span.spanId);
    this.#bySpanId.set(span.spanId, span);
    const sharing = this.#requestsOfTrace.get(span.traceId) ?? new Set();
    this.#requestsOfTrace.set(span.traceId, sharing.add(id));
    const ofRequest = this.#byRequest.get(id);
    if (ofRequest !== undefined && this.#expectation.spans.some((one) => matches(one, span))) {
      ofRequest.push(span);
      return;
    }
    this.#strays += 1;
    this.#example(`stray span ${describe(span)}, path /${segment}/${id}`);
  }

  #findings(id: string, spans: readonly FlatSpan[]): readonly Finding[] {
    const findings: Finding[] = [];
    const report = (finding: Finding, text: string): void => {
      findings.push(finding);
      this.#counts[finding] += 1;
      this.#example(`request ${id}: ${text}`);
    };
    for (const expected of this.#expectation.spans) {
      const [span, ...more] = spans.filter((one) => matches(expected, one));
      if (span === undefined) report("missing", `no span ${expected.key}`);
      else if (more.length > 0) report("repeated", `${more.length + 1} spans ${expected.key}`);
      else this.#judgeSpan({ span, expected, siblings: spans, report });
    }
    for (const traceId of new Set(spans.map((one) => one.traceId))) {
      const sharing = this.#requestsOfTrace.get(traceId)?.size ?? 0;
      if (sharing > 1) report("wrongTrace", `trace ${traceId} holds ${sharing} requests`);
    }
    return findings;
  }

  #judgeSpan(given: {
    readonly span: FlatSpan;
    readonly expected: ExpectedSpan;
    readonly siblings: readonly FlatSpan[];
    readonly report: (finding: Finding, text: string) => void;
  }): void {
    const { span, expected, siblings, report } = given;
    if (this.#sharedIds.has(span.spanId)) {
      report("repeated", `the id ${span.spanId} of ${expected.key} is that of another span too`);
    }
    if (span.startNs <= 0n || span.endNs < span.startNs) {
      report("wrongTime", `${expected.key} lasts from ${span.startNs} to ${span.endNs}`);
    }
    const parent = this.#bySpanId.get(span.parentSpanId);
    if (expected.parent === undefined) {
      const dangling = this.#expectation.danglingRoots === true && parent === undefined;
      if (span.parentSpanId === "" || dangling) return;
      const what = parent === undefined ? "a span that is not there" : describe(parent);
      report("wrongLink", `root ${expected.key} has a parent: ${what}`);
      return;
    }
    const wanted = this.#expectation.spans.find((one) => one.key === expected.parent);
    if (wanted === undefined) throw new Error(`expectation: no span "${expected.parent}"`);
    if (parent === undefined) {
      const lost = span.parentSpanId !== "" && siblings.some((one) => matches(wanted, one));
      if (lost) report("wrongLink", `${expected.key}: its parent is a span that is not there`);
      else report("unlinked", `${expected.key} has no parent ${expected.parent}`);
    } else if (!siblings.includes(parent) || !matches(wanted, parent)) {
      report("wrongLink", `${expected.key} has the parent ${describe(parent)}`);
    } else if (parent.traceId !== span.traceId) {
      report("wrongTrace", `${expected.key} is not in the trace of its parent`);
    } else {
      this.#rightLinks += 1;
    }
  }

  #example(text: string): void {
    if (this.#examples.length < EXAMPLES_MAX) this.#examples.push(text);
  }
}

function matches(expected: ExpectedSpan, span: FlatSpan): boolean {
  const { service, kind, segment } = expected;
  if (service !== span.service || kind !== span.kind) return false;
  return segment === undefined || segment === pathOf(span).segment;
}

function describe(span: FlatSpan): string {
  const { segment, id } = pathOf(span);
  return `${span.service || "?"} ${span.kind} "${span.name}" of /${segment}/${id}`;
}
