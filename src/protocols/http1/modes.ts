// SPDX-License-Identifier: Apache-2.0

/** Waits for a request whose predecessors are certainly answered. */
export const SEEK = 0;
/** Both directions are followed. */
export const TRACK = 1;
/** Requests can no longer be delimited; those that are open still get their responses. */
export const DRAIN = 2;
/** The connection speaks something else now. */
export const TUNNEL = 3;
/** Lost on a connection that pipelines: no later moment proves that nothing is outstanding. */
export const IGNORE = 4;
