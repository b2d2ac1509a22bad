// SPDX-License-Identifier: Apache-2.0
import type { JSX } from "preact";
import { apiUrl, useApi } from "./api.ts";
import type { Operations, Processes, Service, Services, Status } from "./api-types.ts";
import { formatBytes, formatCount, formatNs, formatRate, plural, shown } from "./format.ts";
import { Errors, Heads, ProcessName, Sheet, Spark, Waiting } from "./parts.tsx";
import { reasonText } from "./reasons.ts";
import { change, href, periodKey, periodParameters, route } from "./route.ts";

const REFRESH_MS = 5_000;
const PROCESSES_SHOWN_MAX = 12;

export function Overview({ status }: { status: Status | undefined }): JSX.Element {
  const answer = useApi<Services>(
    `services ${periodKey()}`,
    () => apiUrl("services", periodParameters()),
    REFRESH_MS,
  );
  const chosen = route.value.query.get("service") ?? "";
  const services = answer.value?.services ?? [];
  return (
    <>
      <h1 class="unseen">Overview</h1>
      <Waiting answer={answer} />
      {answer.value === undefined ? null : <Totals services={services} status={status} />}
      {answer.value !== undefined && services.length === 0 ? <NothingYet /> : null}
      {services.length === 0 ? null : (
        <Sheet
          title="Services"
          aside={
            answer.value?.truncated ? "There are more than are shown." : "of the time chosen above"
          }
        >
          <div class="scroll">
            <table>
              <Heads
                names={[
                  "Service",
                  "Requests over time",
                  "#Rate",
                  "#Errors",
                  "#p50",
                  "#p95",
                  "#p99",
                  "p95 over time",
                  "~Traces",
                ]}
              />
              <tbody>
                {services.map((service) => (
                  <ServiceRow key={service.name} service={service} open={service.name === chosen} />
                ))}
              </tbody>
            </table>
          </div>
        </Sheet>
      )}
      {chosen === "" ? null : <OperationsOf service={chosen} />}
      <Watching />
    </>
  );
}

function Totals(props: { services: readonly Service[]; status: Status | undefined }): JSX.Element {
  const { services, status } = props;
  const requests = services.reduce((sum, service) => sum + service.requests, 0);
  const errors = services.reduce((sum, service) => sum + service.errors, 0);
  const rate = services.reduce((sum, service) => sum + service.rate, 0);
  const tiles: readonly (readonly [string, JSX.Element | string])[] = [
    ["Services", formatCount(services.length)],
    ["Requests", formatCount(requests)],
    ["Rate", formatRate(rate)],
    ["Errors", <Errors key="errors" errors={errors} requests={requests} />],
    ["Spans stored", formatCount(status?.store?.spans)],
    ["On disk", formatBytes(status?.store?.bytes)],
  ];
  return (
    <dl class="tiles">
      {tiles.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function NothingYet(): JSX.Element {
  return (
    <div class="note">
      <h2>No requests in this time</h2>
      Nothing is observed until it is selected.{" "}
      <a href={href(["processes"])}>Choose processes to watch</a>, or look at a longer time.
    </div>
  );
}

function ServiceRow({ service, open }: { service: Service; open: boolean }): JSX.Element {
  const name = shown(service.name, 120);
  const { series } = service;
  return (
    <tr>
      <th scope="row">
        <button
          type="button"
          class="plain"
          aria-expanded={open}
          onClick={() => change({ service: open ? undefined : service.name })}
        >
          {name === "" ? "(no name)" : name}
        </button>
      </th>
      <td>
        <Spark
          values={series.requests}
          errors={series.errors}
          label={`Requests of ${name} over time`}
        />
      </td>
      <td class="number">{formatRate(service.rate)}</td>
      <td class="number">
        <Errors errors={service.errors} requests={service.requests} />
      </td>
      <td class="number">{formatNs(service.p50Ns)}</td>
      <td class="number">{formatNs(service.p95Ns)}</td>
      <td class="number">{formatNs(service.p99Ns)}</td>
      <td>
        <Spark values={series.p95Ns} label={`p95 of ${name} over time`} />
      </td>
      <td>
        <a href={href(["traces"], { service: service.name })}>Traces</a>
      </td>
    </tr>
  );
}

function OperationsOf({ service }: { service: string }): JSX.Element {
  const answer = useApi<Operations>(
    `operations ${service} ${periodKey()}`,
    () => apiUrl("operations", { service, ...periodParameters() }),
    REFRESH_MS,
  );
  return (
    <Sheet title={`Operations of ${shown(service, 120)}`}>
      <Waiting answer={answer} />
      <div class="scroll">
        <table>
          <Heads
            names={["Operation", "Kind", "#Requests", "#Rate", "#Errors", "#p50", "#p95", "#p99"]}
          />
          <tbody>
            {(answer.value?.operations ?? []).slice(0, 200).map((one) => (
              <tr key={`${one.kind} ${one.name}`}>
                <th scope="row">
                  <a href={href(["traces"], { service, operation: one.name })}>
                    {shown(one.name, 200)}
                  </a>
                </th>
                <td class="quiet">{one.kind}</td>
                <td class="number">{formatCount(one.requests)}</td>
                <td class="number">{formatRate(one.rate)}</td>
                <td class="number">
                  <Errors errors={one.errors} requests={one.requests} />
                </td>
                <td class="number">{formatNs(one.p50Ns)}</td>
                <td class="number">{formatNs(one.p95Ns)}</td>
                <td class="number">{formatNs(one.p99Ns)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Sheet>
  );
}

/** What the agent watches, and what it does not, and why. */
function Watching(): JSX.Element {
  const answer = useApi<Processes>("processes", () => apiUrl("processes"), REFRESH_MS * 2);
  if (answer.value === undefined) return <Waiting answer={answer} />;
  const all = answer.value.processes;
  const watched = all.filter((one) => one.watched);
  const others = all.filter((one) => !one.watched);
  return (
    <div class="columns">
      <Sheet title="Watched" aside={plural(watched.length, "process", "processes")}>
        <Waiting answer={answer} />
        <table>
          <Heads names={["Process", "#Pid", "Ports", "Service"]} />
          <tbody>
            {watched.slice(0, PROCESSES_SHOWN_MAX).map((one) => (
              <tr key={one.pid}>
                <th scope="row">
                  <ProcessName name={one.name} exe={one.exe} />
                </th>
                <td class="number">{one.pid}</td>
                <td>{one.ports.join(", ")}</td>
                <td>{shown(one.service, 80)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {watched.length > PROCESSES_SHOWN_MAX ? <More count={watched.length} /> : null}
      </Sheet>
      <Sheet
        title="Not seen"
        aside={`${plural(others.length, "process", "processes")} with open ports`}
      >
        <table>
          <Heads names={["What", "#Pid", "Why"]} />
          <tbody>
            {answer.value.unseen.map(({ reason, count }) => (
              <tr key={reason}>
                <th scope="row">{formatCount(count)} connections of watched processes</th>
                <td />
                <td class="wrap">{reasonText(reason)}</td>
              </tr>
            ))}
            {others.slice(0, PROCESSES_SHOWN_MAX).map((one) => (
              <tr key={one.pid}>
                <th scope="row">
                  <ProcessName name={one.name} exe={one.exe} />
                </th>
                <td class="number">{one.pid}</td>
                <td class="wrap">{reasonText(one.reason)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {others.length > PROCESSES_SHOWN_MAX ? <More count={others.length} /> : null}
      </Sheet>
    </div>
  );
}

function More({ count }: { count: number }): JSX.Element {
  return (
    <p class="pad">
      <a href={href(["processes"])}>All {count}</a>
    </p>
  );
}
