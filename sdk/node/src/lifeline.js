/**
 * A thread that waits for the end of the host: it notices also while the
 * plugin's own code keeps the main thread busy. It runs as a worker.
 */
import { readSync, rmSync, rmdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { workerData } from "node:worker_threads";

const { fd, sockets } = workerData;
try {
  // Nothing is ever written: it returns when the last writer has closed.
  readSync(fd, Buffer.alloc(1));
} catch {
  // Whatever is wrong with the descriptor, nobody holds on to this process.
}
try {
  if (sockets) {
    rmSync(sockets, { recursive: true, force: true });
    if (basename(dirname(sockets)).startsWith("runner-plugin-")) rmdirSync(dirname(sockets));
  }
} catch {
  // Somebody else was faster.
}
// The guard kills what the plugin has started; see child.js.
process.kill(process.pid, "SIGKILL");
