// SPDX-License-Identifier: Apache-2.0
// Made by `npm run generate` from bpf/codes.json.

export const DROP_REASONS = [
  "unclassified",
  "ring_full",
  "shed",
  "no_storage",
  "encrypted",
  "datagram",
  "tls_unjoined",
] as const;

export const NO_PAYLOAD_REASONS = [
  "no_buffer",
  "io_uring",
  "fault",
  "compat",
  "budget",
] as const;
