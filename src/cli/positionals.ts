/**
 * `replicate -addr :9090 DB_PATH` and `replicate DB_PATH http://host:9090[/path]`: a node without a
 * config file. Pure. May import: base/, node/options, cli/ (address, loaded, place, values).
 * @module
 */
import { DATABASE_DEFAULTS, type DatabaseOptions, LIMIT_DEFAULTS } from "../node/options.ts";
import { parseUpstreamUrl } from "./address.ts";
import { type ConfigFlags, flagAddr, flagExec, type LoadedConfig, logOptions } from "./loaded.ts";
import { parseNamed, problem, show } from "./place.ts";
import { resolvePath, showUrl, type Surroundings } from "./values.ts";

const USAGE = "write replicate -addr :9090 /data/db, or replicate /data/db http://host:9090";

/** @throws {LiveError} "config" for anything but one of the two forms. */
export function optionsFromArguments(
  positionals: readonly string[],
  flags: ConfigFlags,
  surroundings: Surroundings,
): LoadedConfig {
  const [database, url, ...others] = positionals;
  if (database === undefined) throw problem(`replicate: no database is given; ${USAGE}`);
  if (others.length > 0) {
    throw problem(`replicate: ${show(others[0]!)} is one argument too many; ${USAGE}`);
  }
  const addr = flagAddr(flags);
  const options = url === undefined
    ? primary(database, surroundings)
    : replica(database, url, surroundings);
  if (addr === undefined && options.upstream === undefined) {
    throw problem(
      "-addr: is missing, and a primary needs an address to serve replicas at; " +
        "add -addr :9090, or the URL of an upstream",
    );
  }
  const exec = flagExec(flags);
  return {
    options: {
      databases: [options],
      giveWay: true,
      limits: LIMIT_DEFAULTS,
      ...(addr && { addr }),
    },
    log: logOptions(flags),
    ...(exec && { exec }),
    notes: [],
    path: "command line",
  };
}

function primary(database: string, surroundings: Surroundings): DatabaseOptions {
  if (/^https?:\/\//i.test(database)) {
    throw problem(`replicate: ${showUrl(database)} is no database; ${USAGE}`);
  }
  return {
    ...DATABASE_DEFAULTS,
    path: parseNamed("DB_PATH", () => resolvePath(database, surroundings)),
  };
}

function replica(database: string, url: string, surroundings: Surroundings): DatabaseOptions {
  if (/^https?:\/\//i.test(database)) {
    throw problem(`replicate: the database comes first, the URL second; ${USAGE}`);
  }
  if (/^(s3|gs|gcs|abs|sftp|file|nats|oss|webdavs?):\/\//i.test(url)) {
    throw problem(
      `replicate: ${showUrl(url)} is a backup, which is out of scope here; ` +
        "run Litestream beside this program",
    );
  }
  const own = primary(database, surroundings);
  const upstream = parseNamed("the upstream", () => parseUpstreamUrl(url));
  return { ...own, upstream: { url: upstream.url, path: upstream.path ?? own.path } };
}
