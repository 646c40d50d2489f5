/**
 * litestream-live: live read replication for SQLite. See README.md.
 * @module
 */
import { main } from "./src/cli/main.ts";

// By exit, never by running out: no connection is closed, no log checkpointed, nothing unlinked.
if (import.meta.main) Deno.exit(await main(Deno.args));
