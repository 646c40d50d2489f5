/**
 * What happens to the connection of a replica to its upstream. May import: tests/support,
 * tests/soak/{schedule,world}.
 * @module
 */
import { assert } from "../support/assert.ts";
import { SeededRandom } from "../support/chaos_random.ts";
import { sleep } from "../support/process.ts";
import type { Damage, ProxyMode, TcpProxy } from "../support/proxy_tcp.ts";
import type { Member } from "./fleet.ts";
import { SILENCE_MS } from "../../src/node/follow.ts";
import type { Fault, LinkKind } from "./schedule.ts";
import { downstreamOf, type Effect, type World } from "./world.ts";

type Make = (world: World, fault: Fault, member: Member) => Effect;

const DAMAGE_IS_SEEN_MS = 1500;
/** Of a busy machine. */
const SLACK_MS = 500;

const MOST_BYTES: Readonly<Record<Damage["direction"], number>> = { down: 30_000, up: 400 };

function proxyOf(member: Member): TcpProxy {
  assert(member.proxy !== undefined, `${member.name} follows nobody`);
  return member.proxy;
}

function mode(mode: ProxyMode, rest: Partial<Effect>): Make {
  return (_world, _fault, member) => ({
    touches: downstreamOf(member.name),
    breaks: [member.name],
    begin: () => {
      proxyOf(member).set(mode);
      return Promise.resolve(() => {
        proxyOf(member).set({ kind: "pass" });
        return Promise.resolve();
      });
    },
    ...rest,
  });
}

/** The other end is gone without a word; a new connection would work. */
const halfOpen: Make = (_world, _fault, member) => ({
  touches: downstreamOf(member.name),
  begin: () => {
    proxyOf(member).abandon();
    return Promise.resolve(() => Promise.resolve());
  },
});

function damage(kind: Damage["kind"]): Make {
  return ({ ledger }, fault, member) => ({
    touches: downstreamOf(member.name),
    begin: () => {
      const random = new SeededRandom(Math.floor(fault.chance * 2 ** 32));
      const direction = random.chance(0.75) ? "down" : "up";
      const after = random.int(0, MOST_BYTES[direction]);
      const proxy = proxyOf(member);
      proxy.damage({ kind, direction, after, bit: random.int(0, 7) });
      return Promise.resolve(() => {
        if (proxy.damaged) ledger.count(`${kind} done, ${direction}`);
        proxy.damage(undefined);
        return sleep(DAMAGE_IS_SEEN_MS); // it is on its way, behind what makes the node healthy now
      });
    },
    over: () => proxyOf(member).damaged,
  });
}

export const LINK_FAULTS: Readonly<Record<LinkKind, Make>> = {
  cut: mode({ kind: "cut" }, {}),
  hole: mode({ kind: "hole" }, {}),
  "half-open": halfOpen,
  // At first bytes come, then the silence is noticed, and the copy gets older all the time.
  throttle: mode(
    { kind: "throttle", bytesPerSecond: 1 },
    { query: "?max-lag=2s", noticesMs: SILENCE_MS + 500 + 2000 + SLACK_MS },
  ),
  flip: damage("flip"),
  truncate: damage("truncate"),
};
