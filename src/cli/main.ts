/**
 * The command line, from what was typed to the exit code. May import: all of cli/.
 *
 * Exit codes are listed in cli/topics.
 * @module
 */
import { exitCode, LiveError } from "../base/errors.ts";
import { commandWords, type Invocation, parseArguments } from "./arguments.ts";
import { accept, copy, demote, doctor, promote, status, verifyNodes, wait } from "./commands.ts";
import { completionScript } from "./completion.ts";
import { listDatabases } from "./databases.ts";
import { load } from "./load.ts";
import { print, writeStderr } from "./log.ts";
import { replicate } from "./replicate.ts";
import { checkSecretFile } from "./secrets.ts";
import { topicText } from "./topics.ts";
import { errorText } from "./usage.ts";
import { VERSION } from "./version.ts";

/** Runs the command line to its end; returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await run(parseArguments(args, columnsOf(Deno.stdout)));
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    const columns = Deno.stderr.isTerminal() ? columnsOf(Deno.stderr) : undefined;
    writeStderr(errorText(error.message, columns));
    return exitCode(error.code);
  }
}

async function run(invocation: Invocation): Promise<number> {
  switch (invocation.command) {
    case "help":
      print(invocation.text);
      return 0;
    case "topic":
      print(topicText(invocation.topic, columnsOf(Deno.stdout)));
      return 0;
    case "completion":
      print(completionScript(invocation.shell, commandWords()));
      return 0;
    case "version":
      print(`${VERSION}\n`);
      return 0;
    case "status":
      return await status(invocation);
    case "wait":
      return await wait(invocation);
    case "verify":
      return await verifyNodes(invocation);
    case "copy":
      return await copy(invocation);
    case "promote":
      return await promote(invocation);
    case "demote":
      return await demote(invocation);
    case "doctor":
      return await doctor(load([], invocation.flags, checkSecretFile), invocation.json);
    case "accept":
      return accept(invocation.path);
    case "databases":
      print(await listDatabases(load([], invocation.flags), invocation.json));
      return 0;
    case "replicate":
      return await replicate(
        load(invocation.paths, invocation.flags, checkSecretFile),
        () => load(invocation.paths, invocation.flags), // a bad file then changes itself alone
      );
  }
}

/** Of a terminal, else 80. */
function columnsOf(stream: { isTerminal(): boolean }): number {
  return stream.isTerminal() ? Deno.consoleSize().columns : 80;
}
