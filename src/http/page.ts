/**
 * The dashboard: one document without a file on disk and without a request to anybody but this node.
 * It shows nothing by itself, so everybody may have it; what it shows it asks for, with the token.
 * May import: http/page_app, http/page_model, http/page_style, http/page_view.
 *
 * The script is the source of the functions in http/page_*, as they run here: what is checked and
 * tested is what is sent. The policy lets the browser run this script and no other.
 * @module
 */
import { createHash } from "node:crypto";
import * as app from "./page_app.ts";
import * as model from "./page_model.ts";
import { STYLE } from "./page_style.ts";
import * as view from "./page_view.ts";

/** The names stay: whoever bundles this may give functions others, and then does so in their bodies, too. */
function script(): string {
  const functions = [model, view, app].flatMap((room) => Object.values<unknown>(room))
    .filter((value) => typeof value === "function");
  return `"use strict";\n${functions.map(String).join("\n")}\n${app.start.name}();\n`;
}

const ICON = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E" +
  "%3Ccircle cx='8' cy='8' r='6' fill='%2300805d'/%3E%3C/svg%3E";

function html(script: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>litestream-live</title>
<link rel="icon" href="${ICON}">
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>litestream-live</h1>
<div id="head"></div>
<button id="forget" type="button" hidden>Forget the token</button>
</header>
<noscript><p>This page needs JavaScript; /status says the same as JSON.</p></noscript>
<main>
<form id="login" hidden>
<p id="refused" role="alert"></p>
<label for="token">Token</label>
<input id="token" type="password" autocomplete="current-password" required>
<button type="submit">Show</button>
</form>
<div id="body"></div>
</main>
<script>${script}</script>
</body>
</html>
`;
}

export interface Page {
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function makePage(): Page {
  const source = script();
  const policy = [
    "default-src 'none'",
    `script-src '${hash(source)}'`,
    `style-src '${hash(STYLE)}'`,
    "img-src data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": policy.join("; "),
  };
  return { html: html(source), headers };
}

function hash(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
