// SPDX-License-Identifier: Apache-2.0
import { DB_SYSTEM_NAME_VALUE_REDIS } from "@opentelemetry/semantic-conventions/incubating";
import {
  type DatabaseDetails,
  type DatabaseExchange,
  describeDatabase,
} from "../database/exchange.ts";
import type { Description } from "../pooled-exchange.ts";
import { PLAIN } from "./commands.ts";

export interface RedisState {
  /** What the namespace was before a SELECT. */
  namespaceBefore: string;
  /** Replies that are still to come: more than one for subscriptions to several channels. */
  repliesLeft: number;
  /** Of the command, see commands.ts. */
  effect: number;
}

/** One command and its reply. */
export type RedisExchange = DatabaseExchange<RedisState>;

/** By https://opentelemetry.io/docs/specs/semconv/db/redis/: the name has no `db.namespace`. */
export const DESCRIPTION: Description<DatabaseDetails<RedisState>> = describeDatabase({
  system: DB_SYSTEM_NAME_VALUE_REDIS,
  createState: () => ({ namespaceBefore: "", repliesLeft: 1, effect: PLAIN }),
  resetState: (state) => {
    state.namespaceBefore = "";
    state.repliesLeft = 1;
    state.effect = PLAIN;
  },
});
