// SPDX-License-Identifier: Apache-2.0
// Small parts that several views draw.
import type { ComponentChildren, JSX } from "preact";
import type { Answer } from "./api.ts";
import { formatShare, shown } from "./format.ts";

/** An answer's error, or that there is none yet; nothing when there is something to show. */
export function Waiting({ answer }: { answer: Answer<unknown> }): JSX.Element | null {
  if (answer.error !== "") {
    return (
      <p class="note bad" role="alert">
        {answer.error}
        {answer.value === undefined ? "" : ". What is shown is the last answer."}
      </p>
    );
  }
  return answer.value === undefined ? (
    <p class="empty" role="status">
      Loading…
    </p>
  ) : null;
}

export function Sheet(props: {
  title: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <section class="sheet" aria-label={props.title}>
      <header>
        <h2>{props.title}</h2>
        <span class="quiet">{props.aside}</span>
      </header>
      {props.children}
    </section>
  );
}

/** The columns' headings: `#` stands before those of numbers, `~` before those for readers only. */
export function Heads({ names }: { names: readonly string[] }): JSX.Element {
  return (
    <thead>
      <tr>
        {names.map((name) => (
          <th key={name} scope="col" class={name.startsWith("#") ? "number" : ""}>
            {name.startsWith("~") ? (
              <span class="unseen">{name.slice(1)}</span>
            ) : (
              name.replace("#", "")
            )}
          </th>
        ))}
      </tr>
    </thead>
  );
}

export function Errors({ errors, requests }: { errors: number; requests: number }): JSX.Element {
  const share = requests > 0 ? errors / requests : 0;
  return <span class={errors > 0 ? "bad" : "quiet"}>{formatShare(share)}</span>;
}

interface SparkProps {
  readonly values: readonly (number | null)[];
  readonly label: string;
  /** Drawn as bars at the bottom, to the same scale. */
  readonly errors?: readonly number[];
  readonly large?: boolean;
}

const WIDTH = 120;
const HEIGHT = 24;

/** A line over equal steps, from zero to its maximum. */
export function Spark({ values, label, errors, large }: SparkProps): JSX.Element {
  const most = values.reduce<number>((max, value) => Math.max(max, value ?? 0), 0);
  const stepX = WIDTH / Math.max(1, values.length - 1);
  const y = (value: number): string =>
    (HEIGHT - 1 - (most > 0 ? Math.min(1, value / most) : 0) * (HEIGHT - 3)).toFixed(2);
  const points = values
    .map((value, at) => (value === null ? "" : `${(at * stepX).toFixed(2)},${y(value)}`))
    .filter((point) => point !== "");
  const bars = (errors ?? []).map((value, at) =>
    value > 0 ? `M${(at * stepX - 1).toFixed(2)} ${HEIGHT}h2V${y(value)}h-2z` : "",
  );
  const last = points.at(-1)?.split(",")[0] ?? "0";
  const first = points[0]?.split(",")[0] ?? "0";
  return (
    <svg
      class={large ? "chart" : "spark"}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {points.length > 1 ? (
        <>
          <path class="area" d={`M${first} ${HEIGHT}L${points.join("L")}L${last} ${HEIGHT}z`} />
          <path class="line" d={`M${points.join("L")}`} />
        </>
      ) : null}
      <path class="errors" d={bars.join("")} />
    </svg>
  );
}

export function Meter({ share, label }: { share: number; label: string }): JSX.Element {
  const bounded = Math.max(0, Math.min(1, share));
  return (
    <span class="meter" role="img" aria-label={label}>
      <i class={bounded > 0.8 ? "bad" : ""} style={{ width: `${bounded * 100}%` }} />
    </span>
  );
}

export function CopyButton({
  text,
  label,
}: {
  text: () => Promise<string> | string;
  label: string;
}): JSX.Element {
  const copy = async (button: HTMLButtonElement): Promise<void> => {
    try {
      await navigator.clipboard.writeText(await text());
      button.textContent = "Copied";
    } catch (error) {
      button.textContent = `Not copied: ${error instanceof Error ? error.message : String(error)}`;
    }
    setTimeout(() => {
      button.textContent = label;
    }, 2_000);
  };
  return (
    <button type="button" onClick={(event) => void copy(event.currentTarget)}>
      {label}
    </button>
  );
}

/** A process by its name, and by its program's file where that says more (Node: `MainThread`). */
export function ProcessName({ name, exe }: { name: string; exe: string }): JSX.Element {
  const file = exe.slice(exe.lastIndexOf("/") + 1);
  return (
    <span title={shown(exe, 300)}>
      {shown(name, 60)}
      {file === "" || file === name ? null : <span class="quiet"> {shown(file, 60)}</span>}
    </span>
  );
}
