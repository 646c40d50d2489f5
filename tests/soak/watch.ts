/**
 * Looks at every node all the time: its health must be what the nemesis makes it, its log and its
 * memory bounded. May import: tests/support, tests/soak/{fleet,ledger,schedule}.
 *
 * A node is in trouble as long as some fault touches it; only then may it answer 503. A fault that is
 * over must be over for the node, too, within a limit.
 * @module
 */
import type { DatabaseStatus } from "../../src/node/status.ts";
import { sleep } from "../support/process.ts";
import { Delays } from "./delay.ts";
import { Freshness, type Place } from "./freshness.ts";
import type { Fleet, Member } from "./fleet.ts";
import type { Ledger } from "./ledger.ts";
import type { NodeName } from "./schedule.ts";

const EVERY_MS = 500;
const POLL_MS = 50;
/** As long as a delay of the machine may show in what a node answers. */
const DELAY_WINDOW_MS = 15_000;
/** A replica that answers 200 and was left alone for so long has what the primary had then. */
const FRESH_MS = 5000;
/** Of a database that was told, here and further up, within the last heartbeats. */
const CURRENT_MS = 1000;
/** The server on the event loop of a busy machine; a node that hangs does not answer at all. */
const HANGS_MS = 8000;
/** A VACUUM on a busy machine holds the log up for so long; that the node says so is right. */
const LONG_TRANSACTION_MS = 15_000;

export interface Bounds {
  /** Of a -wal. */
  readonly walBytes: number;
  readonly rssBytes: number;
}

export interface HealthAnswer {
  /** 0: no answer. */
  readonly status: number;
  readonly text: string;
}

export async function askHealth(member: Member, query = ""): Promise<HealthAnswer> {
  try {
    return await member.node.getText(`/health${query}`);
  } catch (error) {
    return { status: 0, text: error instanceof Error ? error.message : String(error) };
  }
}

export class Watch implements AsyncDisposable {
  readonly #fleet: Fleet;
  readonly #ledger: Ledger;
  readonly #bounds: Bounds;
  readonly #troubles = new Map<NodeName, Set<object>>();
  /** Counts each change of a node's troubles: what was asked before is not judged after. */
  readonly #changes = new Map<NodeName, number>();
  readonly #lastAnswer = new Map<NodeName, number>();
  readonly #freshness = new Freshness(FRESH_MS);
  readonly #delays = new Delays(DELAY_WINDOW_MS);
  /** Since when a node answers 503 though nothing touches it. */
  readonly #badSince = new Map<NodeName, number>();
  readonly #calmSince = new Map<NodeName, number>();
  #working: Promise<unknown> | undefined;
  #stopped = false;

  constructor(fleet: Fleet, ledger: Ledger, bounds: Bounds) {
    this.#fleet = fleet;
    this.#ledger = ledger;
    this.#bounds = bounds;
  }

  start(): void {
    for (const { name } of this.#fleet.all) this.#changed(name);
    const following = this.#fleet.all.map((member) => this.#follow(member));
    this.#working = Promise.all([this.#measureDelays(), ...following]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#working;
  }

  /** How late this process is run, as the nodes are on the same machine. */
  async #measureDelays(): Promise<void> {
    while (!this.#stopped) {
      const due = performance.now() + POLL_MS;
      await sleep(POLL_MS);
      const now = performance.now();
      this.#delays.seen(now, now - due);
      this.#ledger.high("longest delay of this machine, ms", now - due);
    }
  }

  /** `fault` touches these nodes from now on. */
  trouble(fault: object, names: readonly NodeName[]): void {
    for (const name of names) {
      const troubles = this.#troubles.get(name) ?? new Set();
      this.#troubles.set(name, troubles.add(fault));
      this.#changed(name);
    }
  }

  /**
   * True if other faults touch the node, too: then this one touches it no more, and the last of them sees
   * to it that it recovers. Of two that end together each would leave that to the other.
   */
  leaveToOthers(fault: object, name: NodeName): boolean {
    const troubles = this.#troubles.get(name);
    if (![...troubles ?? []].some((one) => one !== fault)) return false;
    troubles!.delete(fault);
    return true;
  }

  over(fault: object): void {
    for (const [name, troubles] of this.#troubles) if (troubles.delete(fault)) this.#changed(name);
  }

  /**
   * The node answers 200, has all that the primary has now, and each of its databases is current (else
   * it may answer 503 soon), within `limitMs`; a violation if not.
   */
  async recovers(member: Member, limitMs: number, after: string): Promise<void> {
    const started = performance.now();
    let last: HealthAnswer = { status: 0, text: "was not asked" };
    let wanted: Place | undefined;
    while (performance.now() - started < this.#allowed(limitMs)) {
      if (!member.running) return; // it has ended by itself: said already
      const primary = placeIn(await databasesOf(this.#fleet.primary));
      // A new history may begin meanwhile, and reaches a replica of a replica later.
      if (primary !== undefined && primary.epoch !== wanted?.epoch) wanted = primary;
      last = await askHealth(member);
      const databases = last.status === 200 ? await databasesOf(member) : [];
      const place = placeIn(databases);
      const hasAll = place !== undefined && place.epoch === wanted?.epoch &&
        place.txid >= wanted.txid;
      if (hasAll && databases.every(isCurrent)) {
        this.#ledger.high("longest way back to 200 after a fault, ms", performance.now() - started);
        return;
      }
      await sleep(POLL_MS);
    }
    this.#ledger.violation(
      `${member.name} is not healthy ${
        Math.round(this.#allowed(limitMs))
      } ms after ${after}: ${last.status} ` +
        `${last.text.trim()}; ${await statusText(member)}, wanted ${JSON.stringify(wanted)}`,
    );
  }

  /**
   * The node answers 503 within `limitMs` from now and keeps to it until `endsAt` (performance.now);
   * violations if not. `stillOn` is false once something else has changed.
   */
  async fails(
    member: Member,
    options: {
      readonly limitMs: number;
      readonly endsAt: number;
      readonly because: string;
      readonly query?: string;
    },
  ): Promise<void> {
    const { limitMs, endsAt, because, query = "" } = options;
    const started = performance.now();
    let down = false;
    let last: HealthAnswer = { status: 0, text: "" };
    while (performance.now() < endsAt - 100) {
      if (!member.running || member.frozen) return;
      last = await askHealth(member, query);
      const after = performance.now() - started;
      if (performance.now() > endsAt) return;
      if (last.status === 503 && !down) {
        down = true;
        this.#ledger.high("longest way to 503 after a cut, ms", after);
      } else if (last.status === 200 && (down || after > this.#allowed(limitMs))) {
        const what = down ? "answers 200 again" : "still answers 200";
        this.#ledger.violation(
          `${member.name} ${what} to /health${query} ${Math.round(after)} ms after ${because}: ` +
            `${last.text.trim()}; ${await statusText(member)}`,
        );
        return;
      }
      await sleep(POLL_MS);
    }
  }

  #allowed(limitMs: number): number {
    return limitMs + this.#delays.allowance(performance.now());
  }

  async #follow(member: Member): Promise<void> {
    while (!this.#stopped) {
      if (member.running && !member.frozen) {
        const askedAt = performance.now();
        const healthy = await this.#health(member);
        await this.#sizes(member, healthy, askedAt);
      } else this.#lastAnswer.delete(member.name);
      await sleep(EVERY_MS);
    }
  }

  /** True if it answers 200. */
  async #health(member: Member): Promise<boolean> {
    const { name } = member;
    const before = this.#changes.get(name);
    const { status, text } = await askHealth(member);
    this.#ledger.count("health checks");
    const now = performance.now();
    const calm = before === this.#changes.get(name) && !(this.#troubles.get(name)?.size);
    if (!calm || !member.running || member.frozen) {
      this.#badSince.delete(name);
      this.#lastAnswer.delete(name);
      return status === 200;
    }
    if (status === 0) {
      const silent = now - (this.#lastAnswer.get(name) ?? now);
      if (silent > this.#allowed(HANGS_MS)) {
        this.#ledger.violation(`${name} does not answer: ${text}`);
      }
      if (!this.#lastAnswer.has(name)) this.#lastAnswer.set(name, now);
      return false;
    }
    this.#lastAnswer.set(name, now);
    if (status === 200) {
      this.#badSince.delete(name);
      return true;
    }
    // A machine that is late may lose a connection; one that has time may not.
    const since = this.#badSince.get(name) ?? now;
    this.#badSince.set(name, since);
    const patience = text.includes("is in the way") ? LONG_TRANSACTION_MS : 0;
    if (now - since < this.#delays.allowance(now) + patience) return false;
    this.#ledger.violation(`${name} answers ${status} and nothing touches it: ${text.trim()}`);
    return false;
  }

  async #sizes(member: Member, healthy: boolean, askedAt: number): Promise<void> {
    const { name } = member;
    const { walBytes, rssBytes } = this.#bounds;
    const rss = await memoryOf(member.pid, "VmRSS");
    this.#ledger.high(`RSS of ${name}, MB`, rss / 2 ** 20);
    const anonymous = await memoryOf(member.pid, "RssAnon");
    this.#ledger.high(`RSS of ${name}, anonymous, MB`, anonymous / 2 ** 20);
    if (rss > rssBytes) this.#ledger.violation(`${name} has ${mb(rss)} resident`);
    const bytes = await Deno.stat(`${member.path}-wal`).then(({ size }) => size, () => 0);
    this.#ledger.high(`-wal of ${name}, MB`, bytes / 2 ** 20);
    if (bytes > walBytes) this.#ledger.violation(`the -wal of ${name} has ${mb(bytes)}`);
    const database = await member.node.database().catch(() => undefined);
    if (database !== undefined && healthy) this.#judge(member, database, askedAt);
    const frames = database?.walFrames ?? 0;
    this.#ledger.high(`log of ${name}, frames`, frames);
  }

  /** What it has now is compared with what the primary had before /health was asked. */
  #judge({ name }: Member, { epoch, txid, state }: DatabaseStatus, askedAt: number): void {
    const now = performance.now();
    if (epoch === undefined || txid === undefined) {
      this.#ledger.count(`${name} answered 200 without a position, state ${state}`);
      return;
    }
    if (name === "primary") return this.#freshness.primaryWas(now, { epoch, txid });
    const calm = now - (this.#calmSince.get(name) ?? now) > FRESH_MS;
    if (!calm || this.#troubles.get(name)?.size) return;
    const missing = this.#freshness.missing(askedAt - this.#delays.allowance(now), { epoch, txid });
    if (missing === 0) return;
    this.#ledger.violation(`${name} answers 200 and lacks ${missing} transactions of 5 s ago`);
  }

  #changed(name: NodeName): void {
    this.#calmSince.set(name, performance.now());
    this.#changes.set(name, (this.#changes.get(name) ?? 0) + 1);
  }
}

export async function statusText(member: Member): Promise<string> {
  try {
    const { state, epoch, txid, upstream } = await member.node.database();
    return JSON.stringify({
      state,
      epoch,
      txid,
      lag: upstream?.lag,
      connected: upstream?.connected,
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** None if it does not answer. */
async function databasesOf(member: Member): Promise<readonly DatabaseStatus[]> {
  try {
    return (await member.node.status()).databases;
  } catch {
    return [];
  }
}

/** Of the busy one. */
function placeIn([busy]: readonly DatabaseStatus[]): Place | undefined {
  const { epoch, txid } = busy ?? {};
  return epoch === undefined || txid === undefined ? undefined : { epoch, txid };
}

function isCurrent({ upstream }: DatabaseStatus): boolean {
  return (upstream?.lag.ms ?? 0) < CURRENT_MS;
}

const mb = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`;

/** 0 where the system does not tell, or once the process has ended. */
async function memoryOf(pid: number, what: "VmRSS" | "RssAnon"): Promise<number> {
  try {
    const text = await Deno.readTextFile(`/proc/${pid}/status`);
    return Number(text.match(new RegExp(`^${what}:\\s+(\\d+) kB`, "m"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
