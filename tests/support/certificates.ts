/**
 * A certificate authority of one test, by the system's openssl; keys live as long as its directory.
 * May import: nothing.
 * @module
 */

export interface CertificateOptions {
  /** Default: localhost and 127.0.0.1. */
  readonly names?: string;
  /** Days from now; default: since yesterday, for three days. */
  readonly from?: number;
  readonly until?: number;
  /** What openssl's -newkey takes; default: P-256. */
  readonly newKey?: readonly string[];
}

/** Paths. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

const P256 = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] as const;
const NAMES = "DNS:localhost,IP:127.0.0.1";
const DAY_MS = 86_400_000;
const CONFIG = `[ca]
default_ca = this
[this]
dir = .
database = index
new_certs_dir = .
serial = serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
`;

export class Authority {
  readonly cert: string;
  readonly #key: string;

  private constructor(readonly folder: string) {
    this.cert = `${folder}/ca.crt`;
    this.#key = `${folder}/ca.key`;
  }

  /** In a directory that it makes. */
  static async create(folder: string): Promise<Authority> {
    await Deno.mkdir(folder, { recursive: true });
    const authority = new Authority(folder);
    await Deno.writeTextFile(`${folder}/index`, "");
    await Deno.writeTextFile(`${folder}/serial`, "01\n");
    await Deno.writeTextFile(`${folder}/config`, CONFIG);
    const out = ["-keyout", authority.#key, "-out", authority.cert];
    await authority.#openssl(
      "req",
      "-x509",
      "-nodes",
      "-newkey",
      ...P256,
      ...out,
      "-days",
      "3",
      "-subj",
      "/CN=CA",
    );
    return authority;
  }

  /** A key and a certificate NAME.crt, NAME.key. */
  async issue(name: string, options: CertificateOptions = {}): Promise<Issued> {
    const { names = NAMES, from = -1, until = 3, newKey = P256 } = options;
    const at = `${this.folder}/${name}`;
    await Deno.writeTextFile(
      `${at}.extensions`,
      `subjectAltName=${names}\nbasicConstraints=critical,CA:FALSE\n`,
    );
    const request = ["-keyout", `${at}.key`, "-out", `${at}.csr`, "-subj", `/CN=${name}`];
    await this.#openssl("req", "-nodes", "-newkey", ...newKey, ...request);
    await this.#openssl(
      ...["ca", "-batch", "-notext", "-config", "config", "-in", `${at}.csr`, "-out", `${at}.crt`],
      ...["-cert", this.cert, "-keyfile", this.#key, "-extfile", `${at}.extensions`],
      ...["-startdate", day(from), "-enddate", day(until)],
    );
    return { cert: `${at}.crt`, key: `${at}.key` };
  }

  /** What the server at "host:port" shows: the subject's common name. */
  async shownAt(address: string): Promise<string> {
    const text = await this.#openssl("s_client", "-connect", address, "-servername", "localhost");
    return text.match(/^subject=.*?CN ?= ?(\S+)$/m)?.[1] ?? "";
  }

  async #openssl(...args: readonly string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command("openssl", {
      args: [...args],
      cwd: this.folder,
      stdin: "null",
    }).output();
    const text = new TextDecoder();
    if (success) return text.decode(stdout);
    throw new Error(`openssl ${args.join(" ")}: ${text.decode(stderr)}`);
  }
}

/** "20261125020300Z" */
function day(fromNow: number): string {
  const iso = new Date(Date.now() + fromNow * DAY_MS).toISOString();
  return `${iso.slice(0, 19).replace(/[-T:]/g, "")}Z`;
}
