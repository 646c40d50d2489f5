/**
 * Where in the sources a bug was. The executable runs one bundled file; the source map lies beside it and
 * is only read here: inside the bundle it took 10 MB of memory. May import: base/. The one module that
 * imports trace-mapping.
 * @module
 */
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";

const PLACE = /(?:file:\/\/)?[^\s()]*\/main\.js:(\d+):(\d+)/g;

/** An error's stack with the sources' places instead of the bundle's; as it is without a map. */
export function inSources(stack: string, readMap: () => string | undefined = ownMap): string {
  if (stack.match(PLACE) === null) return stack;
  try {
    const text = readMap();
    if (text === undefined) return stack;
    const map = new TraceMap(text);
    return stack.replaceAll(PLACE, (place, line: string, column: string) => {
      const found = originalPositionFor(map, { line: Number(line), column: Number(column) - 1 });
      if (found.source === null) return place;
      return `${found.source.replace(/^(\.\.\/)+/, "")}:${found.line}:${found.column + 1}`;
    });
  } catch {
    return stack; // no second bug while one is told
  }
}

/** In the bundle this module's directory is the bundle's. */
function ownMap(): string | undefined {
  if (!Deno.build.standalone) return undefined;
  return Deno.readTextFileSync(`${import.meta.dirname}/main.js.map`);
}
