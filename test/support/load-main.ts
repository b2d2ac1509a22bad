// SPDX-License-Identifier: Apache-2.0
// The load client as a process, for a network namespace of its own:
//   node load-main.ts '{"host": "10.213.0.2", "port": 8080, ...}'   prints a LoadResult as JSON
import { runLoad } from "./load.ts";

console.log(JSON.stringify(await runLoad(JSON.parse(process.argv[2] ?? "{}"))));
