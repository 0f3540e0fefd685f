/**
 * Programs that a plugin starts and that must not outlive it.
 *
 * Each leads a process group of its own. A guard, one small shell per plugin,
 * reads the numbers of the groups from a pipe; when the pipe ends, because the
 * plugin has, in whatever way, it kills them.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Problem } from "./problem.js";

const guardScript = `
groups=
while read -r sign group; do
  case $sign in
  +) groups="$groups $group" ;;
  -) kept=; for g in $groups; do [ "$g" = "$group" ] || kept="$kept $g"; done; groups=$kept ;;
  esac
done
for g in $groups; do kill -9 "-$g" 2>/dev/null; done
`;

// A program begins when the guard has been told of it: should the plugin end
// before that, the gate's pipe ends too.
const gateScript = 'read -r go <&3 || exit 1; exec 3<&-; exec "$@"';

let guard;
/** Descriptor that stays open until the last program is gone; set by serve. */
let alive;
const groups = new Set();

export const holdOpen = (fd) => { alive = fd; };

function theGuard() {
  if (!guard) {
    // A group of its own: what ends the plugin's must not end its guard.
    guard = spawn("/bin/sh", ["-c", guardScript], { stdio: ["pipe", "ignore", "ignore", ...(alive === undefined ? [] : [alive])], detached: true, env: {} });
    guard.stdin.on("error", () => {});
    guard.unref();
    guard.stdin.unref();
  }
  return guard.stdin;
}

function kill(group, signal) {
  try {
    process.kill(-group, signal);
  } catch {
    // It is gone already.
  }
}

/** Kills every program that is still there. */
export function killAll() {
  for (const g of groups) kill(g, "SIGKILL");
}

const GRACE = 5000;

/**
 * Runs a program to its end; every line that it writes becomes one of the run's
 * log. When the request's signal ends it is told to end, and killed after a grace
 * period; what it left behind in its group is killed in any case.
 * @param {import("./request.js").Request} req
 * @param {string[]} command program and arguments
 * @param {object} [options]
 * @param {string} [options.cwd]
 * @param {Record<string, string>} [options.env] its whole environment; the plugin's own by default
 * @param {string} [options.input] given on its standard input
 * @param {number} [options.grace] milliseconds; 5000 by default
 * @returns {Promise<{ code: number | null, signal: string | null }>}
 */
export async function exec(req, command, { cwd, env, input = "", grace = GRACE } = {}) {
  req.signal.throwIfAborted();
  const tell = theGuard();
  const program = spawn("/bin/sh", ["-c", gateScript, "sh", ...command], { cwd, env: env ?? process.env, detached: true, stdio: ["pipe", "pipe", "pipe", "pipe"] });
  const failed = new Promise((_, reject) => program.once("error", reject));
  failed.catch(() => {});
  if (program.pid === undefined) {
    await failed.catch((err) => {
      throw new Problem("Program not started", `${command[0]}: ${err.message}`, { effect: "none" });
    });
  }
  const group = program.pid;
  groups.add(group);
  tell.write(`+ ${group}\n`);
  program.stdio[3].on("error", () => {});
  program.stdio[3].end("go\n");
  program.stdin.on("error", () => {});
  program.stdin.end(input);
  let patience;
  const stop = () => {
    kill(group, "SIGTERM");
    patience = setTimeout(() => kill(group, "SIGKILL"), grace);
  };
  req.signal.addEventListener("abort", stop, { once: true });
  const readers = ["stdout", "stderr"].map((from) => ({ from, lines: createInterface({ input: program[from], crlfDelay: Infinity }) }));
  const read = Promise.all(readers.map(async ({ from, lines }) => {
    for await (const line of lines) await req.output(from, line);
  }));
  try {
    const [code, signal] = await once(program, "exit");
    kill(group, "SIGKILL");
    // Somebody who left the group may hold the output open.
    const late = setTimeout(() => {
      for (const { from, lines } of readers) {
        lines.close();
        program[from].destroy();
      }
    }, grace);
    await read.finally(() => clearTimeout(late));
    return { code, signal };
  } finally {
    clearTimeout(patience);
    req.signal.removeEventListener("abort", stop);
    groups.delete(group);
    tell.write(`- ${group}\n`);
  }
}
