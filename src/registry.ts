// SPDX-License-Identifier: Apache-2.0
import { factory as nopExporter } from "../exporters/nop/factory.ts";
import type { Factory } from "./component/component.ts";

/** Every component of this build, one line each: the only file outside its folder that a new one edits. */
export const FACTORIES: readonly Factory[] = [nopExporter];
