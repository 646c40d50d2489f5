/**
 * What stands in the archive about others' work: the SBOM (CycloneDX, JSON) and THIRD-PARTY-NOTICES.
 * Pure. May import: scripts/tools, scripts/release/packages.
 * @module
 */
import { sha256 } from "../tools.ts";
import { type Component, DENO_NOTE } from "./packages.ts";

export interface BillOptions {
  readonly version: string;
  /** The time it says, since 1970. */
  readonly seconds: number;
  /** Of the executable, hex. */
  readonly sha256: string;
}

/** CycloneDX 1.5. The same input gives the same text. */
export function sbom(parts: readonly Component[], options: BillOptions): string {
  const root = `litestream-live@${options.version}`;
  const deno = parts.find(({ name }) => name === "deno");
  const bill = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    serialNumber: `urn:uuid:${uuidOf(root, options.sha256)}`,
    version: 1,
    metadata: {
      timestamp: new Date(options.seconds * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": root,
        name: "litestream-live",
        version: options.version,
        hashes: [{ alg: "SHA-256", content: options.sha256 }],
        licenses: [{ license: { id: "Apache-2.0" } }],
      },
    },
    components: parts.map(componentOf),
    dependencies: [{ ref: root, dependsOn: parts.map(({ purl }) => purl) }],
    compositions: deno === undefined ? [] : [{ aggregate: "incomplete", assemblies: [deno.purl] }],
  };
  return `${JSON.stringify(bill, null, 2)}\n`;
}

function componentOf(part: Component): unknown {
  const [, group, name] = part.name.match(/^(?:(@[^/]+)\/)?(.+)$/)!;
  return {
    type: part.name === "deno" ? "platform" : "library",
    "bom-ref": part.purl,
    ...group === undefined ? {} : { group },
    name,
    version: part.version,
    ...part.note === undefined ? {} : { description: part.note },
    ...part.sha512 === undefined ? {} : { hashes: [{ alg: "SHA-512", content: part.sha512 }] },
    licenses: [{ license: { id: part.license } }],
    purl: part.purl,
  };
}

/** A UUID made from what it names: version 8, "made by one's own rule". */
function uuidOf(...parts: readonly string[]): string {
  const hex = sha256(...parts);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}

/** The texts of all licenses. */
export function notices(parts: readonly Component[]): string {
  const line = "=".repeat(80);
  const texts = parts.map(({ name, version, license, licenseText }) =>
    `${line}\n${name} ${version} (${license})\n${line}\n\n${licenseText.trim()}\n`
  );
  return "litestream-live is under the Apache License 2.0, see LICENSE. The executable contains the\n" +
    `work of others, under these terms. Deno: ${DENO_NOTE}\n\n${texts.join("\n")}`;
}
