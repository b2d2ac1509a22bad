// SPDX-License-Identifier: Apache-2.0
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { AgentView } from "./agent.tsx";
import { apiUrl, useApi } from "./api.ts";
import type { Status } from "./api-types.ts";
import { formatCount, shown } from "./format.ts";
import { MapView } from "./map.tsx";
import { Overview } from "./overview.tsx";
import { ProcessesView } from "./processes.tsx";
import { change, fixedPeriod, go, href, RANGE_DEFAULT, RANGES, route } from "./route.ts";
import { theme, toggleTheme } from "./theme.ts";
import { TraceView } from "./trace.tsx";
import { TracesView } from "./traces.tsx";

const VIEWS = [
  { path: "", title: "Overview" },
  { path: "map", title: "Map" },
  { path: "traces", title: "Traces" },
  { path: "agent", title: "Agent" },
  { path: "processes", title: "Processes" },
] as const;
const STATUS_MS = 10_000;

export function App(): JSX.Element {
  const [view = "", id = ""] = route.value.parts;
  const help = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => key(event, help.current);
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  const title = VIEWS.find(({ path }) => path === view)?.title ?? "Trace";
  useEffect(() => {
    document.title = `${title} – Backstitch`;
  }, [title]);
  const { value: status } = useApi<Status>("status", () => apiUrl("status"), STATUS_MS);
  return (
    <>
      <button type="button" class="skip" onClick={toMain}>
        To the content
      </button>
      <Top view={view} help={() => help.current?.showModal()} />
      <main id="main" tabIndex={-1}>
        <StoreProblems status={status} />
        <View view={view} id={id} status={status} />
      </main>
      <Help dialog={help} />
    </>
  );
}

/** Not a link: the fragment of the address is the view's. */
function toMain(): void {
  document.getElementById("main")?.focus();
}

function key(event: KeyboardEvent, help: HTMLDialogElement | null): void {
  const { target } = event;
  const isTyping =
    target instanceof HTMLElement && /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const view = VIEWS[Number(event.key) - 1];
  if (view !== undefined) go(view.path === "" ? [] : [view.path]);
  else if (event.key === "?") help?.showModal();
  else if (event.key === "t") toggleTheme();
  else if (event.key === "/") {
    event.preventDefault();
    if (route.value.parts[0] !== "traces") go(["traces"]);
    setTimeout(() => document.getElementById("search-first")?.focus(), 50);
  }
}

function View(props: { view: string; id: string; status: Status | undefined }): JSX.Element {
  const { view, id, status } = props;
  if (view === "") return <Overview status={status} />;
  if (view === "map") return <MapView />;
  if (view === "traces") return <TracesView />;
  if (view === "trace") return <TraceView key={id} id={id} jaegerUrl={status?.jaegerUrl ?? ""} />;
  if (view === "agent") return <AgentView status={status} />;
  if (view === "processes") return <ProcessesView />;
  return (
    <p class="empty">
      There is no such view. <a href={href([])}>To the overview</a>
    </p>
  );
}

function Top({ view, help }: { view: string; help: () => void }): JSX.Element {
  const isCurrent = (path: string): boolean =>
    path === view || (view === "trace" && path === "traces");
  return (
    <header class="top">
      <a class="brand" href={href([])}>
        Backstitch
      </a>
      <nav class="views" aria-label="Views">
        {VIEWS.map(({ path, title }) => (
          <a
            key={path}
            href={href(path === "" ? [] : [path])}
            {...(isCurrent(path) ? { "aria-current": "page" } : {})}
          >
            {title}
          </a>
        ))}
      </nav>
      {hasRange(view) ? <Range /> : null}
      <button type="button" onClick={toggleTheme} aria-label="Switch between light and dark">
        {theme.value === "dark" ? "Light" : "Dark"}
      </button>
      <button type="button" onClick={help} aria-label="Keyboard and help">
        ?
      </button>
    </header>
  );
}

/** The agent's history is always that until now. */
function hasRange(view: string): boolean {
  if (view === "agent") return fixedPeriod.value === undefined;
  return view !== "processes" && view !== "trace";
}

function Range(): JSX.Element {
  if (fixedPeriod.value !== undefined) {
    const { startUs, endUs } = fixedPeriod.value;
    const text = `${new Date(startUs / 1e3).toLocaleString()} – ${new Date(endUs / 1e3).toLocaleTimeString()}`;
    return (
      <span class="row">
        <span class="quiet">{text}</span>
        <button type="button" onClick={() => change({ start: undefined, end: undefined })}>
          Back to now
        </button>
      </span>
    );
  }
  return (
    <label class="row quiet">
      Last
      <select
        value={route.value.query.get("range") ?? RANGE_DEFAULT}
        onChange={(event) => change({ range: event.currentTarget.value })}
      >
        {Object.entries(RANGES).map(([name, { text }]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

function StoreProblems({ status }: { status: Status | undefined }): JSX.Element | null {
  const { store } = status ?? {};
  if (store === undefined) return null;
  const lost = store.dropped.reduce((sum, { spans }) => sum + spans, 0);
  const reasons = store.dropped.map(
    ({ reason, spans }) => `${shown(reason, 80)} ${formatCount(spans)}`,
  );
  return (
    <>
      {store.problem === undefined ? null : (
        <p class="note bad" role="alert">
          The store: {shown(store.problem, 500)}
        </p>
      )}
      {lost === 0 ? null : (
        <p class="note warn">
          {formatCount(lost)} spans could not be stored since the start ({reasons.join(", ")}).
        </p>
      )}
      {store.setAside.length === 0 ? null : (
        <p class="note warn">
          {store.setAside.length} damaged segments were set aside:{" "}
          {store.setAside
            .slice(0, 5)
            .map(({ file, reason }) => `${shown(file, 200)} (${shown(reason, 200)})`)
            .join(", ")}
        </p>
      )}
    </>
  );
}

const KEYS = [
  ["1 – 5", "the views"],
  ["/", "search"],
  ["t", "light or dark"],
  ["↑ ↓", "in a trace: the span above, below"],
  ["← →", "fold, unfold"],
  ["Home End", "first, last span"],
  ["e", "the next span with an error"],
  ["c", "the critical path on and off"],
  ["Enter", "details of the span"],
  ["Esc", "close them"],
  ["+ − 0", "in the map: larger, smaller, all of it"],
] as const;

function Help({ dialog }: { dialog: { current: HTMLDialogElement | null } }): JSX.Element {
  return (
    <dialog ref={dialog} aria-label="Keyboard">
      <h2>Keyboard</h2>
      <dl class="facts">
        {KEYS.map(([keys, what]) => (
          <>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </>
        ))}
      </dl>
      <button type="button" onClick={() => dialog.current?.close()}>
        Close
      </button>
    </dialog>
  );
}
