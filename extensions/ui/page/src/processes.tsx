// SPDX-License-Identifier: Apache-2.0
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { apiUrl, useApi } from "./api.ts";
import type { FoundProcess, Processes } from "./api-types.ts";
import { shown } from "./format.ts";
import { CopyButton, Heads, ProcessName, Sheet, Waiting } from "./parts.tsx";
import { reasonText } from "./reasons.ts";
import { targetsYaml } from "./targets-yaml.ts";

const REFRESH_MS = 10_000;

/** What could be watched, and the YAML that watches the chosen ones. */
export function ProcessesView(): JSX.Element {
  const answer = useApi<Processes>("processes", () => apiUrl("processes"), REFRESH_MS);
  const chosen = useSignal<ReadonlySet<number>>(new Set());
  const all = answer.value?.processes ?? [];
  const picked = all.filter(({ pid }) => chosen.value.has(pid));
  const yaml = targetsYaml(picked);
  const toggle = (pid: number): void => {
    const next = new Set(chosen.value);
    if (!next.delete(pid)) next.add(pid);
    chosen.value = next;
  };
  return (
    <>
      <h1>Processes that could be watched</h1>
      <p class="quiet">
        Nothing is observed until it is selected. Choose processes here and put the YAML in the
        agent's configuration. Nothing on this page changes the agent.
      </p>
      <Waiting answer={answer} />
      {answer.value === undefined ? null : (
        <div class="columns">
          <Sheet
            title="Processes with open ports"
            aside={answer.value.truncated ? "the first of more" : `${all.length}`}
          >
            <div class="scroll">
              <table>
                <Heads names={["Watch", "Process", "#Pid", "Ports", "State"]} />
                <tbody>
                  {all.map((one) => (
                    <Row
                      key={one.pid}
                      one={one}
                      chosen={chosen.value.has(one.pid)}
                      toggle={toggle}
                    />
                  ))}
                </tbody>
              </table>
            </div>
          </Sheet>
          <Sheet
            title="YAML"
            aside={picked.length > 0 ? <CopyButton label="Copy" text={() => yaml} /> : null}
          >
            {picked.length === 0 ? (
              <p class="empty">Choose processes on the left.</p>
            ) : (
              <textarea
                readOnly
                class="mono yaml"
                rows={16}
                aria-label="YAML of the chosen processes"
              >
                {yaml}
              </textarea>
            )}
          </Sheet>
        </div>
      )}
    </>
  );
}

function Row(props: {
  one: FoundProcess;
  chosen: boolean;
  toggle: (pid: number) => void;
}): JSX.Element {
  const { one, chosen, toggle } = props;
  return (
    <tr>
      <td>
        <input
          type="checkbox"
          aria-label={`Watch ${shown(one.name, 60)}, pid ${one.pid}`}
          checked={chosen || one.watched}
          disabled={one.watched || one.targets.length === 0 || one.reason === "agent"}
          onChange={() => toggle(one.pid)}
        />
      </td>
      <th scope="row">
        <ProcessName name={one.name} exe={one.exe} />
      </th>
      <td class="number">{one.pid}</td>
      <td>{one.ports.join(", ")}</td>
      <td class="wrap">
        {one.watched ? (
          <span class="tag accent">watched as {shown(one.service, 60)}</span>
        ) : (
          <span class="quiet">{reasonText(one.reason)}</span>
        )}
      </td>
    </tr>
  );
}
