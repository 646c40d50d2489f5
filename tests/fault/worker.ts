/**
 * One of main.ts's workers: gets a share, sends back its report. May import: tests/fault.
 * @module
 */
import { type Report, runShare, type Share } from "./share.ts";

interface WorkerScope {
  onmessage: ((event: MessageEvent<Share>) => void) | null;
  postMessage(report: Report): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;
scope.onmessage = async ({ data }) => {
  scope.postMessage(await runShare(data));
  scope.close();
};
