/**
 * The dashboard's side of the network: asks /status each second, listens to /events, asks for the
 * token where the node wants one. Runs in the browser, as http/page_model says: only functions, all
 * exported. May import: http/page_model, http/page_view.
 *
 * The token is kept in sessionStorage: it goes with the tab, and to this node only.
 * @module
 */
/// <reference lib="dom" />
import { type EventJson, isNews, remember, type StatusJson } from "./page_model.ts";
import { bodyView, headView, type Model, patch, standing } from "./page_view.ts";

export interface App {
  model: Model;
  token: string | undefined;
  /** Ends what is under way for the token before. */
  stop: AbortController;
}

export function start(): void {
  const now = performance.now();
  const app: App = {
    model: {
      status: undefined,
      history: new Map(),
      events: [],
      eventsNote: undefined,
      now,
      answeredAt: now,
      problem: undefined,
      opened: new Set(),
    },
    token: sessionStorage.getItem("token") ?? undefined,
    stop: new AbortController(),
  };
  element("login").addEventListener("submit", (submit) => {
    submit.preventDefault();
    const field = element("token") as HTMLInputElement;
    const token = field.value.trim();
    field.value = "";
    useToken(app, token === "" ? undefined : token);
  });
  element("forget").addEventListener("click", () => useToken(app, undefined));
  // It does not bubble.
  element("body").addEventListener("toggle", () => draw(app), { capture: true });
  useToken(app, app.token);
}

export function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no element ${id}`);
  return found;
}

/** Begins anew with this token. */
export function useToken(app: App, token: string | undefined): void {
  app.stop.abort();
  app.stop = new AbortController();
  keepToken(app, token);
  app.model = { ...app.model, problem: undefined };
  void askForever(app, app.stop.signal);
  void listenForever(app, app.stop.signal);
}

export function keepToken(app: App, token: string | undefined): void {
  app.token = token;
  if (token === undefined) sessionStorage.removeItem("token");
  else sessionStorage.setItem("token", token);
  element("forget").hidden = token === undefined;
}

export async function askForever(app: App, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { status, problem, refused } = await ask(app, signal);
    if (signal.aborted) return;
    const now = performance.now();
    showLogin(app, refused === true);
    if (refused === true) return; // the form begins anew
    const { model } = app;
    remember(model.history, status, now);
    app.model = {
      ...model,
      status: status ?? model.status,
      answeredAt: status === undefined ? model.answeredAt : now,
      now,
      problem,
    };
    draw(app);
    await pause(1000, signal);
  }
}

export interface Answer {
  readonly status?: StatusJson;
  readonly problem?: string;
  /** A token is wanted, or another one. */
  readonly refused?: true;
}

export async function ask(app: App, signal: AbortSignal): Promise<Answer> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(5000)]);
    const response = await fetch("/status", { headers: headersOf(app), signal: limit });
    if (response.ok) return { status: await response.json() };
    const { message = `HTTP ${response.status}` } = await response.json();
    return response.status === 401 ? { refused: true } : { problem: message };
  } catch {
    return { problem: "The node does not answer" };
  }
}

export function headersOf({ token }: App): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

export function showLogin(app: App, refused: boolean): void {
  const login = element("login");
  if (refused) {
    element("refused").textContent = app.token === undefined
      ? "This node asks for a token: the status-token or the token of its config."
      : "The node refuses this token.";
    keepToken(app, undefined);
    element("head").replaceChildren();
    element("body").replaceChildren();
    app.model = { ...app.model, status: undefined, events: [] };
  }
  if (login.hidden !== refused) return;
  login.hidden = !refused;
  if (refused) element("token").focus();
}

export async function listenForever(app: App, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const note = await listen(app, signal);
    if (signal.aborted) return;
    app.model = { ...app.model, eventsNote: note };
    await pause(2000, signal);
  }
}

/** Until the node ends it; returns why there are no events, a sentence. */
export async function listen(app: App, signal: AbortSignal): Promise<string> {
  try {
    const response = await fetch("/events", { headers: headersOf(app), signal });
    if (!response.ok || response.body === null) {
      const { message = `HTTP ${response.status}` } = await response.json();
      return `No events: ${message}`;
    }
    app.model = { ...app.model, eventsNote: undefined };
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value = "" } = await reader.read();
      if (done) return "No events: the node has ended them, asking again";
      const lines = (rest + value).split("\n");
      rest = lines.pop() ?? "";
      const events = lines.map((line): EventJson => JSON.parse(line)).filter(isNews).reverse();
      if (events.length === 0 || signal.aborted) continue;
      app.model = { ...app.model, events: [...events, ...app.model.events].slice(0, 20) };
    }
  } catch {
    return "No events: the connection was lost, asking again";
  }
}

export function draw(app: App): void {
  const opened = [...document.querySelectorAll("details[open]")]
    .map((one) => one.getAttribute("data-path") ?? "");
  app.model = { ...app.model, opened: new Set(opened) };
  document.title = `litestream-live: ${standing(app.model).word}`;
  document.body.classList.toggle("stale", app.model.problem !== undefined);
  patch(element("head"), headView(app.model));
  patch(element("body"), bodyView(app.model));
}

export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
