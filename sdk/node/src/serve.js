/**
 * The door of the package: it greets the host, serves until the host lets the
 * plugin go, and ends when the host is gone.
 */
import { fstatSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Worker } from "node:worker_threads";
import grpc from "@grpc/grpc-js";
import { Calls } from "./calls.js";
import { newCertificate } from "./certificate.js";
import { holdOpen, killAll } from "./child.js";
import { Description, SDK_VERSION } from "./describe.js";
import { actionService, metricsService, pluginService, strategyService, targetService } from "./services.js";
import { MAX_MESSAGE, loadServices } from "./wire.js";

const COOKIE = ["RUNNER_PLUGIN_COOKIE", "8b1f2d0c6a3e49c7b95de21f70c4a86e"];
/** The protocol version that this package speaks. */
const PROTOCOL = 1;
const LIFELINE = "RUNNER_LIFELINE_FD";
const ALIVE = "RUNNER_ALIVE_FD";
const HOST_CERTIFICATE = "PLUGIN_CLIENT_CERT";
const SOCKETS = "PLUGIN_UNIX_SOCKET_DIR";

/** What children of the plugin must not see. */
const hidden = [
  COOKIE[0], LIFELINE, ALIVE, HOST_CERTIFICATE, SOCKETS, "PLUGIN_UNIX_SOCKET_GROUP", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT",
  "PLUGIN_MULTIPLEX_GRPC",
];

/** How long what was given to onExit may take, in milliseconds. */
const EXIT_TIME = 1000;

const hooks = [];

/**
 * Has f called when the host lets the plugin go. There is a second for all of
 * them. When the host is gone there is no time for anything.
 * @param {() => void | Promise<void>} f
 */
export const onExit = (f) => void hooks.push(f);

/**
 * Runs the plugin until the host lets it go, and then ends the process. Call it
 * last; print nothing before it. Without a host it says what the program is.
 * @param {import("./describe.js").Plugin} plugin
 */
export async function serve(plugin) {
  const description = new Description(plugin);
  if (description.mistakes.length > 0) {
    return end(2, `The plugin ${JSON.stringify(plugin.name)} is not well formed:\n${description.mistakes.map((m) => `  - ${m}\n`).join("")}`);
  }
  if (process.env[COOKIE[0]] !== COOKIE[1]) return explain(plugin);
  if (process.platform === "win32") return end(1, "Plugins written with this SDK run on Linux and macOS; on Windows they cannot notice the end of runner.\n");

  const environment = Object.fromEntries(hidden.map((name) => [name, process.env[name]]));
  for (const name of hidden) delete process.env[name];
  watchHost(environment);

  const calls = new Calls(description);
  const server = newServer(calls, () => leave(calls, server));
  const secure = environment[HOST_CERTIFICATE] ? newCertificate() : null;
  // A host of go-plugin's that sends no certificate gets a connection without encryption.
  const credentials = secure
    ? grpc.ServerCredentials.createSsl(Buffer.from(environment[HOST_CERTIFICATE]), [{ cert_chain: Buffer.from(secure.cert), private_key: Buffer.from(secure.key) }], true)
    : grpc.ServerCredentials.createInsecure();
  const dir = mkdtempSync(join(environment[SOCKETS] || tmpdir(), "node-"));
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  const socket = join(dir, "plugin.sock");
  await new Promise((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, credentials, (err) => (err ? reject(err) : resolve()));
  });
  // Whoever reads this is gone when writing fails.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const certificate = secure ? secure.der.toString("base64").replace(/=+$/, "") : "";
  process.stdout.write(`1|${PROTOCOL}|unix|${socket}|grpc|${certificate}\n`);
}

/** The status does not depend on what was written getting through. */
function end(code, text, to = process.stderr) {
  to.write(text);
  process.exitCode = code;
}

/** Ends the process with its host; see lifeline.js. */
function watchHost(environment) {
  const held = descriptor(environment, ALIVE);
  if (held !== undefined) holdOpen(held);
  const fd = descriptor(environment, LIFELINE);
  if (fd === undefined) return;
  const worker = new Worker(new URL("./lifeline.js", import.meta.url), { workerData: { fd, sockets: environment[SOCKETS] }, stdout: false, stderr: false });
  worker.unref();
}

function descriptor(environment, name) {
  if (!environment[name]) return undefined;
  const fd = Number(environment[name]);
  if (!Number.isInteger(fd) || fd < 0) throw new Error(`the environment variable ${name} names no descriptor: ${environment[name]}`);
  fstatSync(fd);
  return fd;
}

/** Services that go-plugin expects. Their messages are empty, or fixed, so they need no protocol files. */
const none = Buffer.alloc(0);
const SERVING = Buffer.from([0x08, 0x01]);
const rpc = (path, responseStream = false) => ({
  path, requestStream: false, responseStream, requestSerialize: (b) => b, requestDeserialize: (b) => b, responseSerialize: (b) => b, responseDeserialize: (b) => b,
});
const health = { check: rpc("/grpc.health.v1.Health/Check"), watch: rpc("/grpc.health.v1.Health/Watch", true) };
const controller = { shutdown: rpc("/plugin.GRPCController/Shutdown") };
const stdio = { streamStdio: rpc("/plugin.GRPCStdio/StreamStdio", true) };

function newServer(calls, shutdown) {
  const server = new grpc.Server({ "grpc.max_receive_message_length": MAX_MESSAGE, "grpc.max_send_message_length": MAX_MESSAGE });
  const services = loadServices();
  server.addService(services.plugin, pluginService(calls));
  server.addService(services.action, actionService(calls));
  server.addService(services.target, targetService(calls));
  server.addService(services.strategy, strategyService(calls));
  server.addService(services.metrics, metricsService(calls));
  server.addService(health, { check: (_, callback) => callback(null, SERVING), watch: (stream) => stream.write(SERVING) });
  // What the process prints goes its ordinary way; the stream is only held open.
  server.addService(stdio, { streamStdio: () => {} });
  server.addService(controller, {
    shutdown: (_, callback) => {
      callback(null, none);
      shutdown();
    },
  });
  return server;
}

/** Ends as the host asks: calls first, then what was given to onExit. */
async function leave(calls, server) {
  calls.cancel();
  await calls.idle();
  const late = setTimeout(() => process.exit(0), EXIT_TIME);
  await Promise.allSettled(hooks.reverse().map(async (f) => f()));
  killAll();
  clearTimeout(late);
  server.forceShutdown();
  process.exit(0);
}

/** Answers somebody who started the program by hand. */
function explain(plugin) {
  const asked = (process.argv[2] ?? "").replace(/^-+/, "");
  if (asked === "version") return end(0, `${plugin.name} ${plugin.version} (protocol ${PROTOCOL}, sdk node/${SDK_VERSION})\n`, process.stdout);
  const help = `${basename(process.argv[1] ?? plugin.name)} is the plugin "${plugin.name}" of runner, version ${plugin.version}. runner starts it by itself when a\npipeline names it in required_plugins.\n`;
  if (asked === "help" || asked === "h") return end(0, help, process.stdout);
  return end(2, asked ? `There is no command ${JSON.stringify(asked)}.\n\n${help}` : help);
}
