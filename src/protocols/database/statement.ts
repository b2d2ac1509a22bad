// SPDX-License-Identifier: Apache-2.0
import { type MeasurementSink, SharedBlock, type SpanSink } from "../../model/attribute.ts";
import type { Role } from "../../model/protocol.ts";
import { describeSummary, measureSummary } from "./span.ts";

const BLOCKS_MAX = 16;

/** What a statement says of itself; each may be empty when it is not known or not sure. */
export interface StatementFacts {
  /** As `db.query.text` shows it: without literals unless raw text is wanted. */
  readonly text: string;
  /** `db.query.summary`: operations and their targets, of low cardinality. */
  readonly summary: string;
  /** Of a single operation. */
  readonly operation: string;
  /** Of a single operation on a single table or collection. */
  readonly collection: string;
  /** Of a call. */
  readonly procedure: string;
  /** Database that the statement says, if the connection's is not meant. */
  readonly namespace: string;
}

/** What the exchanges of one statement differ in, each field of few values. */
export interface Summary {
  readonly facts: StatementFacts;
  readonly role: Role;
  /** `db.system.name` */
  readonly system: string;
  readonly namespace: string;
  /** `db.response.status_code` of an error, else empty. */
  readonly status: string;
  /** What the code is called, such as a SQLSTATE: the span status's description. */
  readonly detail: string;
  /** `error.type` of an exchange without a result of its own, else empty. */
  readonly failure: string;
}

/** An exchange, as far as its statement's blocks depend on it. */
interface Outcome {
  readonly role: Role;
  readonly errorType: string;
  readonly details: Pick<Summary, "system" | "namespace" | "status" | "detail">;
}

class Blocks {
  readonly summary: Summary;
  readonly span: SharedBlock<SpanSink>;
  readonly measurement: SharedBlock<MeasurementSink>;

  constructor(summary: Summary) {
    this.summary = summary;
    this.span = new SharedBlock((sink) => describeSummary(summary, sink));
    this.measurement = new SharedBlock((sink) => measureSummary(summary, sink));
  }

  matches({ role, errorType, details }: Outcome): boolean {
    const { summary } = this;
    return (
      role === summary.role &&
      details.status === summary.status &&
      details.namespace === summary.namespace &&
      errorType === summary.failure &&
      details.detail === summary.detail &&
      details.system === summary.system
    );
  }
}

/** A statement or command with its literals left out, described once for each outcome. */
export class Statement {
  readonly facts: StatementFacts;
  readonly #blocks: Blocks[] = [];
  #next = 0;

  constructor(facts: StatementFacts) {
    this.facts = facts;
  }

  blocks(given: Outcome): Blocks {
    for (const blocks of this.#blocks) if (blocks.matches(given)) return blocks;
    const { system, namespace, status, detail } = given.details;
    const { role, errorType: failure } = given;
    const { facts } = this;
    const created = new Blocks({ facts, role, system, namespace, status, detail, failure });
    this.#blocks[this.#next++ % BLOCKS_MAX] = created;
    return created;
  }

  /** The same with the text as it was sent. */
  withText(text: string): Statement {
    return new Statement({ ...this.facts, text });
  }
}

const NO_FACTS: StatementFacts = {
  text: "",
  summary: "",
  operation: "",
  collection: "",
  procedure: "",
  namespace: "",
};

/** The named facts; the others are empty. */
export function createStatement(facts: Partial<StatementFacts>): Statement {
  return new Statement({ ...NO_FACTS, ...facts });
}

/** Of a request whose statement was not seen. */
export const UNKNOWN_STATEMENT: Statement = createStatement({});
