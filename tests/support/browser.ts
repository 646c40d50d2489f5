/**
 * The system's Chromium, where there is one: CHROMIUM names another. May import: playwright-core,
 * tests/support.
 * @module
 */
import { type Browser, chromium, type Page } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** undefined: the tests that need it are shown as ignored. */
export const CHROMIUM: string | undefined = Deno.env.get("CHROMIUM") ||
  PLACES.find(isThere);

/** A browser that knows nobody but this machine, and what its pages complained about. */
export class Visitor implements AsyncDisposable {
  /** Errors of scripts and of the policy; a refused request is none. */
  readonly complaints: string[] = [];
  /** Where pages sent requests. */
  readonly asked = new Set<string>();

  private constructor(readonly browser: Browser) {}

  static async open(): Promise<Visitor> {
    const args = ["--no-sandbox", "--disable-dev-shm-usage"];
    return new Visitor(await chromium.launch({ executablePath: CHROMIUM!, args }));
  }

  async visit(url: string, width: number, colorScheme: "light" | "dark" = "light"): Promise<Page> {
    const viewport = { width, height: 800 };
    const context = await this.browser.newContext({ viewport, colorScheme });
    const page = await context.newPage();
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (line) => {
      const isNetwork = line.text().startsWith("Failed to load resource");
      if (line.type() === "error" && !isNetwork) this.complaints.push(line.text());
    });
    page.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol !== "data:") this.asked.add(origin);
    });
    await page.goto(url);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
  }
}
