// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { Batch } from "../model/batch.ts";
import type { Extension, Host } from "./component.ts";
import { AgentError } from "./errors.ts";

/** A request's header by its lower-case name. */
export type HeaderLookup = (name: string) => string | undefined;

/** An extension that knows who may send to us. */
export interface ServerAuthenticator extends Extension {
  /** Undefined: let in. Else why not, without anything secret. */
  authenticate(header: HeaderLookup): Promise<string | undefined>;
}

/** Headers of a request by their lower-case names; undefined: not to be sent. */
export type RequestHeaders = Readonly<Record<string, string | undefined>>;

/** A request that is about to be sent. */
export interface OutgoingRequest {
  readonly headers: RequestHeaders;
  /** Of the request that brought the data, where the receiver has `include_metadata`. */
  readonly metadata?: Batch["metadata"];
}

/** An extension that shows others who we are. */
export interface ClientAuthenticator extends Extension {
  /** Headers that change what the request carries. Rejects when it must not be sent. */
  authorization(request: OutgoingRequest): Promise<RequestHeaders>;
}

/** `auth` of a server or a client. */
export interface AuthConfig {
  /** Id of an extension. */
  readonly authenticator: string;
}

export function authSchema(): z.ZodType<AuthConfig | null | undefined> {
  return z
    .strictObject({
      authenticator: z.string().min(1).describe("Id of the extension, as basicauth/clients."),
    })
    .nullish()
    .describe("Who is let in, or how we show who we are; off unless set.");
}

/** Undefined when `auth` is not set. Throws `AgentError` in the Collector's words. */
export function serverAuthenticator(
  host: Host,
  auth: AuthConfig | null | undefined,
): ServerAuthenticator | undefined {
  const extension = find(host, auth);
  if (extension === undefined || isServer(extension)) return extension;
  throw refused("requested authenticator is not a server authenticator", auth);
}

/** Undefined when `auth` is not set. Throws `AgentError` in the Collector's words. */
export function clientAuthenticator(
  host: Host,
  auth: AuthConfig | null | undefined,
): ClientAuthenticator | undefined {
  const extension = find(host, auth);
  if (extension === undefined || isClient(extension)) return extension;
  throw refused("requested authenticator is not a client authenticator", auth);
}

function find(host: Host, auth: AuthConfig | null | undefined): Extension | undefined {
  if (auth === null || auth === undefined) return undefined;
  const extension = host.extension(auth.authenticator);
  if (extension === undefined) throw refused("authenticator not found", auth);
  return extension;
}

function refused(what: string, auth: AuthConfig | null | undefined): AgentError {
  const id = auth?.authenticator ?? "";
  const advice = "Name an extension of service::extensions such as basicauth or bearertokenauth.";
  return new AgentError("BS_START", `failed to resolve authenticator "${id}": ${what}. ${advice}`);
}

function isServer(extension: Extension): extension is ServerAuthenticator {
  return "authenticate" in extension;
}

function isClient(extension: Extension): extension is ClientAuthenticator {
  return "authorization" in extension;
}
