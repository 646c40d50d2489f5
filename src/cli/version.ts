/**
 * The version of this program, as deno.json has it. May import: deno.json.
 * @module
 */
import config from "../../deno.json" with { type: "json" };

export const VERSION: string = config.version;
