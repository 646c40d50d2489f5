/**
 * One of main.ts's processes: a share on stdin, its report on stdout. A process and not a Worker:
 * in a Worker of Deno 2.7.14 setImmediate() now and then does not come. May import: tests/fault.
 * @module
 */
import { runShare, type Share } from "./share.ts";

if (import.meta.main) {
  const share: Share = JSON.parse(await new Response(Deno.stdin.readable).text());
  const report = JSON.stringify(await runShare(share));
  await new Blob([report]).stream().pipeTo(Deno.stdout.writable);
}
