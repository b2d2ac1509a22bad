// SPDX-License-Identifier: Apache-2.0
import {
  WIRE_PROTOCOL_FOLLOWED,
  WIRE_PROTOCOL_IGNORED,
  WIRE_PROTOCOL_TLS,
  WIRE_PROTOCOL_UNDETERMINED,
} from "../../bpf/generated/wire.ts";
import type { ProcessProtocols } from "../../src/model/process.ts";
import type { ConnectionParser, ParserOptions, Protocol } from "../../src/model/protocol.ts";
import { withCustomProtocols } from "../../src/protocols/custom/protocol.ts";
import { createDetectingParser, type DetectingParser } from "../../src/protocols/detection.ts";
import { detectTls } from "../../src/protocols/tls-bytes.ts";
import type { Account } from "./account.ts";
import { CallKeeper } from "./call-keeper.ts";
import type { Connection } from "./connection.ts";
import type { DataCursor } from "./decode.ts";
import { fixedProtocol, NONE, type ProtocolRules } from "./protocol-rules.ts";

/** Tells the kernel what becomes of a connection; see `struct wire_verdict` in wire.h. */
export interface VerdictSink {
  decide(socket: number, localStart: number, wireProtocol: number): void;
  /** Makes the kernel announce every connection again, and look for verdicts as it does. */
  announceAgain(): void;
}

export interface ProtocolChoiceOptions {
  readonly cursor: DataCursor;
  readonly rules: ProtocolRules;
  /** Of the service that the process belongs to. */
  readonly parserOptions: (pid: number, isSecure: boolean) => ParserOptions;
  readonly protocolByWire: (wireProtocol: number) => Protocol | undefined;
  /** All that are detected; those of the registry if not given. */
  readonly protocols?: readonly Protocol[] | undefined;
  readonly verdicts: VerdictSink;
  readonly account: Account;
  readonly serviceOf: (pid: number) => string;
  /** What the process's target says of protocols. */
  readonly protocolsOf?: ((pid: number) => ProcessProtocols | undefined) | undefined;
  /** A process speaks TLS: calls back, now or later, if its clear text is not read. */
  readonly onTls?: ((pid: number, onOpaque: () => void) => void) | undefined;
}

/** A verdict that the kernel has not taken after so long is told again. */
const REPEAT_AFTER_NS = 1e9;

/** Calls of `keepUp` between two announcements: they concern all connections. */
const ANNOUNCE_EVERY = 10;

/**
 * Which parser a connection gets: what the user fixed, what the kernel recognised, or one that
 * detects; and what the kernel is told when that is decided.
 */
export class ProtocolChoice {
  readonly #options: ProtocolChoiceOptions;
  readonly #protocols: readonly Protocol[];
  #isMindChanged = false;
  #sinceAnnounced: number = ANNOUNCE_EVERY;

  constructor(options: ProtocolChoiceOptions) {
    this.#options = options;
    this.#protocols = withCustomProtocols(options.rules.custom, options.protocols);
  }

  /** Leaves a connection undecided (`needsLook`) unless it is sure from the start. */
  createParser(connection: Connection): ConnectionParser {
    const { cursor, rules, protocolByWire, parserOptions } = this.#options;
    const { protocol, localPort, remotePort } = connection.record;
    const options = parserOptions(cursor.pid, connection.isTls);
    const ofTarget = this.#options.protocolsOf?.(cursor.pid);
    const served = connection.record.side === "accepter" ? ofTarget?.served : undefined;
    const byPort = fixedProtocol(rules, localPort, remotePort);
    const fixed = byPort ?? served ?? connection.protocol?.name;
    const disabled = ofTarget?.disabled ?? [];
    const byKernel = connection.isTls ? undefined : protocolByWire(protocol);
    const isSure = byKernel !== undefined && !connection.isMisjudged;
    if (fixed === undefined && isSure && !disabled.includes(byKernel.name)) {
      return byKernel.createParser(options, connection);
    }
    const misjudged = connection.isMisjudged && byKernel !== undefined ? [byKernel.name] : [];
    const detecting = createDetectingParser(
      options,
      connection,
      {
        localPort,
        remotePort,
        transport: connection.record.isDatagram ? "udp" : "tcp",
        only: fixed === NONE ? undefined : fixed,
        forbidden: [...rules.disabled, ...disabled, ...misjudged],
        protocols: byPort === undefined && served === NONE ? [] : this.#protocols,
      },
      new CallKeeper(connection, cursor),
    );
    connection.detecting = detecting;
    connection.needsLook = connection.protocol === undefined;
    return detecting;
  }

  /** After each record while `needsLook`: has something been decided? */
  look(connection: Connection): void {
    if (connection.isUpgraded) {
      this.#lookForTls(connection);
      return;
    }
    if (connection.isMisjudged && connection.detecting === undefined) {
      // Its parser finds no message in it; the next record is the first of detection.
      connection.giveUpOpen("malformed");
      connection.parser = undefined;
      return;
    }
    const { detecting } = connection;
    if (detecting === undefined || detecting.verdict === "undecided") return;
    connection.needsLook = !detecting.isFinal;
    const wire = wireVerdict(detecting);
    if (wire === connection.toldWire && detecting.protocol === connection.protocol) return;
    if (!connection.record.isDatagram) this.#count(connection, detecting);
    this.tell(connection);
  }

  /** What follows a request for TLS (PostgreSQL, MySQL and others have one) need not be captured. */
  #lookForTls(connection: Connection): void {
    const { cursor, verdicts } = this.#options;
    const { bytes, start, captured } = cursor;
    connection.needsLook = --connection.upgradeLooks > 0;
    if (captured === 0 || detectTls(bytes, start, start + captured) !== "yes") return;
    connection.upgradeLooks = 0;
    connection.needsLook = false;
    connection.toldWire = WIRE_PROTOCOL_TLS;
    connection.toldNs = cursor.timeNs;
    this.meetTls(connection);
    this.#isMindChanged = true;
    verdicts.decide(connection.record.socket, connection.record.localStart, WIRE_PROTOCOL_TLS);
  }

  /** Tells the kernel (again), where it waits for the verdict or has been told. */
  tell(connection: Connection): void {
    const { detecting, record } = connection;
    if (detecting === undefined || detecting.verdict === "undecided") return;
    const { verdicts, cursor } = this.#options;
    const wire = wireVerdict(detecting);
    const isAsked = record.protocol === WIRE_PROTOCOL_UNDETERMINED || connection.isTls;
    const isWaiting = isAsked && connection.toldWire === 0;
    const isRefused = wire === WIRE_PROTOCOL_IGNORED || wire === WIRE_PROTOCOL_TLS;
    connection.protocol = detecting.protocol;
    connection.toldWire = wire;
    connection.toldNs = cursor.timeNs;
    // There is no verdict on datagrams: their ports were asked for.
    if (record.isDatagram) return;
    // A kernel that is sure, or was told otherwise, does not wait; it asks when it announces again.
    if (!isWaiting && isRefused) this.#isMindChanged = true;
    const isAwaited = record.protocol === WIRE_PROTOCOL_UNDETERMINED || cursor.isUndetermined;
    if (isAwaited || isRefused) {
      verdicts.decide(record.socket, record.localStart, wire);
    }
  }

  /** A record that was written without knowing the verdict: it may have been lost. */
  remind(connection: Connection): void {
    if (connection.needsLook || connection.toldNs === 0) return;
    if (this.#options.cursor.timeNs - connection.toldNs > REPEAT_AFTER_NS) this.tell(connection);
  }

  /** Once a second. */
  keepUp(): void {
    this.#sinceAnnounced++;
    if (!this.#isMindChanged || this.#sinceAnnounced < ANNOUNCE_EVERY) return;
    this.#isMindChanged = false;
    this.#sinceAnnounced = 0;
    this.#options.verdicts.announceAgain();
  }

  /** It is encrypted: counted, unless its clear text comes by way of its TLS library. */
  meetTls(connection: Connection): void {
    const { account, serviceOf, onTls } = this.#options;
    const { pid } = connection.record;
    const service = serviceOf(pid);
    const onOpaque = (): void => {
      connection.opaque = "yes";
      account.opaque("tls", service);
      connection.onOpaque?.();
    };
    connection.opaque = "asked";
    if (onTls === undefined) onOpaque();
    else onTls(pid, onOpaque);
  }

  #count(connection: Connection, { verdict, protocol }: DetectingParser): void {
    if (verdict === "tls") this.meetTls(connection);
    else this.#options.account.detected(protocol?.name ?? "unknown");
  }
}

function wireVerdict({ verdict, protocol }: DetectingParser): number {
  if (verdict === "tls") return WIRE_PROTOCOL_TLS;
  if (verdict !== "found") return WIRE_PROTOCOL_IGNORED;
  return protocol?.wireProtocol ?? WIRE_PROTOCOL_FOLLOWED;
}
