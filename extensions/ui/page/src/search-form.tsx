// SPDX-License-Identifier: Apache-2.0
import type { JSX, TargetedEvent, TargetedSubmitEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { apiUrl, useApi } from "./api.ts";
import type { Operations } from "./api-types.ts";
import { attributesOf, attributesText } from "./attribute-query.ts";
import { durationNs } from "./duration.ts";
import { shown } from "./format.ts";
import { change, periodKey, periodParameters, route } from "./route.ts";

const KINDS = ["server", "client", "producer", "consumer", "internal"] as const;
const STATUSES = ["error", "ok", "unset"] as const;
const OPTIONS_MAX = 500;

export function SearchForm({ services }: { services: readonly string[] }): JSX.Element {
  const { query } = route.value;
  const form = useRef<HTMLFormElement>(null);
  // Only another address fills the fields: what is being typed stays.
  useLayoutEffect(() => fill(form.current, query), [query]);
  const service = query.get("service") ?? "";
  const operations = useApi<Operations>(
    service === "" ? "" : `operations ${service} ${periodKey()}`,
    () => apiUrl("operations", { service, ...periodParameters() }),
    0,
  );
  const names = new Set((operations.value?.operations ?? []).map(({ name }) => name));
  return (
    <search class="grow">
      <form class="search" ref={form} onSubmit={submit}>
        <label>
          Service
          <select id="search-first" name="service" onChange={submitOf}>
            <option value="">any</option>
            {[...new Set(service === "" ? services : [service, ...services])]
              .slice(0, OPTIONS_MAX)
              .map((name) => (
                <option key={name} value={name}>
                  {shown(name, 80)}
                </option>
              ))}
          </select>
        </label>
        <label>
          Operation
          <input name="operation" list="operations" placeholder="any" />
        </label>
        <datalist id="operations">
          {[...names].slice(0, OPTIONS_MAX).map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <Choice name="kind" label="Kind" values={KINDS} />
        <Choice name="status" label="Status" values={STATUSES} />
        <Duration name="min" label="At least" />
        <Duration name="max" label="At most" />
        <label class="wide">
          Attributes
          <input
            name="attribute"
            placeholder="http.route=/order/{id}"
            title='key or key=value, separated by spaces; key="a value"'
          />
        </label>
        <button type="submit" class="primary">
          Search
        </button>
        <button type="button" onClick={clear}>
          Clear
        </button>
      </form>
    </search>
  );
}

function Choice(props: { name: string; label: string; values: readonly string[] }): JSX.Element {
  return (
    <label>
      {props.label}
      <select name={props.name} onChange={submitOf}>
        <option value="">any</option>
        {props.values.map((value) => (
          <option key={value} value={value}>
            {value}
          </option>
        ))}
      </select>
    </label>
  );
}

function Duration(props: { name: string; label: string }): JSX.Element {
  return (
    <label class="short">
      {props.label}
      <input
        name={props.name}
        placeholder="5ms"
        onInput={({ currentTarget: input }) => {
          const isBad = input.value !== "" && durationNs(input.value) === undefined;
          input.setCustomValidity(isBad ? "Write a number and a unit, such as 5ms or 1.5s" : "");
        }}
      />
    </label>
  );
}

const FIELDS = ["service", "operation", "kind", "status", "min", "max", "attribute"] as const;

function fill(form: HTMLFormElement | null, query: URLSearchParams): void {
  for (const name of FIELDS) {
    const field = form?.elements.namedItem(name);
    const value =
      name === "attribute" ? attributesText(query.getAll(name)) : (query.get(name) ?? "");
    if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) {
      field.value = value;
    }
  }
}

function submitOf(event: TargetedEvent<HTMLSelectElement>): void {
  const { form, name } = event.currentTarget;
  const operation = form?.elements.namedItem("operation");
  // Another service has other operations.
  if (name === "service" && operation instanceof HTMLInputElement) operation.value = "";
  form?.requestSubmit();
}

function submit(event: TargetedSubmitEvent<HTMLFormElement>): void {
  event.preventDefault();
  const values = new FormData(event.currentTarget);
  const text = (name: string): string => {
    const value = values.get(name);
    return typeof value === "string" ? value.trim() : "";
  };
  const parameters = Object.fromEntries(FIELDS.map((name) => [name, text(name)]));
  change({ ...parameters, attribute: attributesOf(text("attribute")) });
}

function clear(): void {
  change({ ...Object.fromEntries(FIELDS.map((name) => [name, ""])), start: "", end: "" });
}
