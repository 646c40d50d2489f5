/**
 * The dashboard in the browser: what is seen is made anew from the last /status each second, and the
 * document is changed where that differs, so that focus, selection and scrolling stay. As in
 * http/page_model, only functions, all exported. May import: http/page_model.
 *
 * All that a node says is set as text, never as markup.
 * @module
 */
/// <reference lib="dom" />
import {
  type AboveJson,
  ageText,
  behind,
  bytesText,
  countText,
  type DatabaseJson,
  databaseMark,
  type EventJson,
  eventMark,
  eventText,
  type History,
  historyMs,
  lagText,
  linePath,
  type Mark,
  type ReplicaJson,
  replicaMark,
  type Sample,
  scaleTop,
  type StatusJson,
  summary,
  txidText,
} from "./page_model.ts";

export interface Tag {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly View[];
}
export type View = Tag | string;

/** What is known when the page is drawn. */
export interface Model {
  readonly status: StatusJson | undefined;
  readonly history: History;
  /** The newest first. */
  readonly events: readonly EventJson[];
  /** Why there are no events, a sentence. */
  readonly eventsNote: string | undefined;
  readonly now: number;
  /** When /status answered last, and why it does not now. */
  readonly answeredAt: number;
  readonly problem: string | undefined;
  /** Paths of the databases that the user has open. */
  readonly opened: ReadonlySet<string>;
}

export function h(
  tag: string,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly View[]
): Tag {
  return { tag, attributes, children };
}

/** Makes the children of `parent` what `views` say. What the user has opened or closed stays. */
export function patch(parent: Element, views: readonly View[]): void {
  for (const [nth, view] of views.entries()) {
    const old = parent.childNodes[nth];
    if (typeof view === "string") {
      if (old instanceof Text) {
        if (old.data !== view) old.data = view;
      } else put(parent, document.createTextNode(view), old);
      continue;
    }
    let element = old instanceof Element && old.tagName.toLowerCase() === view.tag
      ? old
      : undefined;
    const fresh = element === undefined;
    if (element === undefined) {
      const isSvg = ["svg", "path", "line"].includes(view.tag);
      element = document.createElementNS(
        isSvg ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml",
        view.tag,
      );
      put(parent, element, old);
    }
    for (const [name, value] of Object.entries(view.attributes)) {
      if (name === "open" && !fresh) continue;
      if (element.getAttribute(name) !== value) element.setAttribute(name, value);
    }
    for (const name of element.getAttributeNames()) {
      if (!(name in view.attributes) && name !== "open") element.removeAttribute(name);
    }
    patch(element, view.children);
  }
  while (parent.childNodes.length > views.length) parent.lastChild?.remove();
}

export function put(parent: Element, node: Node, old: Node | undefined): void {
  if (old === undefined) parent.append(node);
  else parent.replaceChild(node, old);
}

/** Shape and word: the colour only repeats them. */
export function markView({ shape, word }: Mark): View {
  const shapes = {
    ok: "M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12z",
    warn: "M8 1.5L15 14H1z",
    bad: "M2 2H14V14H2z",
    busy: "M8 1L15 8L8 15L1 8z",
    gone: "M3 3L13 13M13 3L3 13",
  };
  const icon = h(
    "svg",
    { class: `shape ${shape}`, viewBox: "0 0 16 16", "aria-hidden": "true" },
    h("path", { d: shapes[shape] }),
  );
  return h("span", { class: "mark" }, icon, h("span", {}, word));
}

/** What the node is like now, or that it does not answer. */
export function standing({ status, problem }: Model): Mark {
  if (problem !== undefined) return { shape: "bad", word: problem };
  return status === undefined ? { shape: "busy", word: "asking" } : summary(status);
}

export function headView(model: Model): View[] {
  const { status, problem, now, answeredAt } = model;
  const about = status === undefined
    ? ""
    : problem === undefined
    ? `version ${status.version}, up ${ageText(status.uptimeMs)}`
    : `version ${status.version}, last answer ${ageText(now - answeredAt)} ago`;
  return [
    h("p", { class: "summary", role: "status" }, markView(standing(model))),
    h("p", { class: "about" }, about),
  ];
}

export function databasesView(status: StatusJson): View {
  const titles = ["Database", "Role", "State", "Txid", "Size", "Lag", "Replicas"];
  const rows = status.databases.map((database) => {
    const { path, role, txid, pageSize = 0, pageCount, upstream, replicas } = database;
    const connected = replicas.filter((one) => one.connected).length;
    const cells: View[] = [
      h("span", { class: "path" }, path),
      role,
      markView(databaseMark(database)),
      h("span", { class: "number" }, txidText(txid)),
      pageCount === undefined ? "–" : bytesText(pageSize * pageCount),
      upstream === undefined ? "–" : lagText(upstream.lag.ms),
      replicas.length === 0 ? "–" : `${connected} of ${replicas.length}`,
    ];
    return h(
      "tr",
      {},
      ...cells.map((cell, nth) =>
        h(nth === 0 ? "th" : "td", {
          "data-title": titles[nth]!,
          ...(nth === 0 ? { scope: "row" } : {}),
        }, cell)
      ),
    );
  });
  const head = h("tr", {}, ...titles.map((title) => h("th", { scope: "col" }, title)));
  return h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows));
}

/** Why it is not well, and how far it is. */
export function reasonView(database: DatabaseJson): View[] {
  const { reason, trouble, upstream } = database;
  const { progress } = upstream ?? {};
  const lines = [...new Set([trouble, reason, upstream?.error])]
    .filter((line) => line !== undefined);
  if (progress !== undefined) {
    lines.push(`${bytesText(progress.doneBytes)} of ${bytesText(progress.totalBytes)}`);
  }
  return lines.map((line) => h("p", { class: "reason" }, line));
}

/** upstream -> this node -> its replicas, as nested lists: a screen reader tells the same. */
export function treeView(database: DatabaseJson): View {
  const { upstream, replicas } = database;
  const own = h(
    "li",
    { class: "own" },
    nodeView("this node", databaseMark(database), [`txid ${txidText(database.txid)}`]),
    ...(replicas.length === 0
      ? [h("ul", {}, h("li", { class: "none" }, "no replica has asked yet"))]
      : [branchesView(database, replicas)]),
  );
  if (upstream === undefined) return h("ul", { class: "tree" }, own);
  const mark: Mark = upstream.connected
    ? { shape: "ok", word: "connected" }
    : { shape: "gone", word: "not connected" };
  const above = nodeView(`${upstream.url}${upstream.path}`, mark, [
    `txid ${txidText(upstream.txid)}`,
    `this node lags ${lagText(upstream.lag.ms)}, ${countText(upstream.lag.txids)} transactions`,
  ]);
  let tree = h("li", {}, above, h("ul", {}, own));
  let known = upstream.connected;
  for (const { url, path, connected } of aboveOf(upstream.above)) {
    known &&= connected;
    tree = h("li", {}, nodeView(`${url}${path}`, higherMark(known), []), h("ul", {}, tree));
  }
  return h("ul", { class: "tree" }, tree);
}

/** Bounded as replicas are: what another node says draws no page without end. */
export function aboveOf(above: readonly AboveJson[] = []): readonly AboveJson[] {
  return above.slice(0, 8);
}

/** What is further up is known by what is said on the way. */
export function higherMark(known: boolean): Mark {
  return known ? { shape: "ok", word: "connected" } : { shape: "gone", word: "not known" };
}

export function branchesView(database: DatabaseJson, replicas: readonly ReplicaJson[]): View {
  return h(
    "ul",
    {},
    ...replicas.map((replica) => {
      const { replicas: below = [] } = replica;
      const all = below.length === 0 ? [] : [branchesView(database, below)];
      return h("li", {}, replicaView(database, replica), ...all);
    }),
  );
}

export function replicaView(database: DatabaseJson, replica: ReplicaJson): View {
  const count = behind(database, replica);
  return nodeView(replica.address, replicaMark(database, replica), [
    `txid ${txidText(replica.applied)}`,
    count === undefined ? "of another epoch" : `${countText(count)} behind`,
    ...(replica.connected && replica.lagMs !== undefined ? [`lags ${lagText(replica.lagMs)}`] : []),
    ...(replica.silentMs > 2000 ? [`silent for ${ageText(replica.silentMs)}`] : []),
  ]);
}

export function nodeView(name: string, mark: Mark, facts: readonly string[]): View {
  return h(
    "div",
    { class: "node" },
    h("span", { class: "path" }, name),
    markView(mark),
    h("span", { class: "facts" }, facts.join(" · ")),
  );
}

export function chartView(
  title: string,
  samples: readonly Sample[],
  pick: (sample: Sample) => number | undefined,
  scale: { readonly now: number; readonly least: number; readonly text: (value: number) => string },
): View {
  const [width, height] = [300, 60];
  const values = samples.map(pick);
  const top = scaleTop(values, scale.least);
  const points = samples.map((sample) => ({ at: sample.at, value: pick(sample) }));
  const last = values[values.length - 1];
  const known = values.filter((value) => value !== undefined);
  const most = known.length === 0 ? "nothing known" : `at most ${scale.text(Math.max(...known))}`;
  const now = last === undefined ? "–" : scale.text(last);
  const line = linePath(points, { now: scale.now, top, width, height });
  const svg = h(
    "svg",
    {
      viewBox: `0 -2 ${width} ${height + 4}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `${title}, last 5 minutes: now ${now}, ${most}`,
    },
    h("line", { class: "grid", x1: "0", x2: `${width}`, y1: "0", y2: "0" }),
    h("line", { class: "grid", x1: "0", x2: `${width}`, y1: `${height}`, y2: `${height}` }),
    h("path", { class: "line", d: line === "" ? "M0 0" : line }),
  );
  return h(
    "figure",
    {},
    h("figcaption", {}, h("span", {}, title), h("b", {}, now)),
    h("div", { class: "plot" }, svg, h("span", { class: "top" }, scale.text(top))),
    h(
      "div",
      { class: "axis" },
      h("span", {}, `${ageText(historyMs())} ago`),
      h("span", {}, "now"),
    ),
  );
}

/** What is closed is not drawn, so that a page of a thousand databases stays quick. */
export function databaseView(database: DatabaseJson, model: Model, open: boolean): View {
  const isDrawn = open || model.opened.has(database.path);
  return h(
    "details",
    { class: "database", "data-path": database.path, ...(open ? { open: "" } : {}) },
    h(
      "summary",
      {},
      h("h2", { class: "path" }, database.path),
      markView(databaseMark(database)),
      h("span", { class: "facts" }, database.role),
    ),
    ...reasonView(database),
    ...(isDrawn ? [columnsView(database, model)] : []),
  );
}

export function columnsView(database: DatabaseJson, model: Model): View {
  const samples = model.history.get(database.path) ?? [];
  const { now } = model;
  const whose = database.role === "replica" ? "Lag" : "Lag of the slowest replica";
  const lag = chartView(whose, samples, ({ lag }) => lag, { now, least: 100, text: lagText });
  const rate = chartView("Transactions a second", samples, ({ rate }) => rate, {
    now,
    least: 10,
    text: countText,
  });
  const megabytes = ({ bytes }: Sample): number | undefined =>
    bytes === undefined ? undefined : bytes / 1e6;
  const bytes = chartView("WAL a second", samples, megabytes, {
    now,
    least: 0.1,
    text: (value) => `${value < 10 ? value.toFixed(2) : Math.round(value)} MB`,
  });
  return h(
    "div",
    { class: "columns" },
    h("section", { "aria-label": "Who follows whom" }, treeView(database)),
    h("section", { class: "charts", "aria-label": "The last five minutes" }, lag, rate, bytes),
  );
}

export function eventsView({ events, eventsNote }: Model): View[] {
  const note = eventsNote === undefined ? [] : [h("p", { class: "reason" }, eventsNote)];
  const rows = events.map((event) =>
    h(
      "li",
      {},
      h("time", { datetime: event.time, title: event.time }, clockText(event.time)),
      markView({ ...eventMark(event), word: eventText(event) }),
      h("span", { class: "path" }, event.path ?? ""),
    )
  );
  return [h("h2", {}, "Last events"), ...note, h("ol", { class: "events" }, ...rows)];
}

/** The node's time as this browser's. */
export function clockText(time: string): string {
  return new Date(time).toLocaleTimeString("en-GB");
}

export function bodyView(model: Model): View[] {
  const { status } = model;
  if (status === undefined) return [];
  const open = status.databases.length <= 8;
  return [
    h(
      "section",
      { class: "all" },
      h("h2", { class: "hidden" }, "Databases"),
      databasesView(status),
    ),
    ...status.databases.map((database) => databaseView(database, model, open)),
    h("section", {}, ...eventsView(model)),
  ];
}
