/**
 * A thread that waits for the end of the host: it notices also while the
 * plugin's own code keeps the main thread busy. It runs as a worker.
 */
import { rmSync, rmdirSync } from "node:fs";
import { Socket } from "node:net";
import { basename, dirname } from "node:path";
import { workerData } from "node:worker_threads";

const { fd, sockets } = workerData;

function gone() {
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
}

// Nothing is ever written: the pipe ends when the last writer has closed. A read
// that blocks the thread would also keep the process from ending by itself.
const line = new Socket({ fd, readable: true, writable: false });
line.on("error", gone).on("end", gone).on("close", gone).resume();
