import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { newCertificate } from "../src/certificate.js";

test("the certificate is whole, signed by itself, and for localhost", () => {
  for (let i = 0; i < 50; i++) {
    const { cert, der } = newCertificate();
    const x = new X509Certificate(cert);
    assert.ok(x.raw.equals(der));
    assert.ok(x.verify(x.publicKey) && x.ca && x.checkHost("localhost") === "localhost");
    assert.ok(new Date(x.validFrom) < Date.now() && new Date(x.validTo) > Date.now());
  }
});

const alive = (pid) => {
  try {
    // What nobody has reaped yet is dead all the same.
    return process.platform !== "linux" || !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
};

async function until(what, f) {
  for (const end = Date.now() + 10_000; !f(); await sleep(10)) assert.ok(Date.now() < end, `after ten seconds, ${what}`);
}

function scratch(t) {
  const dir = mkdtempSync(join(tmpdir(), "node-sdk-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const read = (file) => {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return "";
  }
};

const child = fileURLToPath(new URL("../src/child.js", import.meta.url));

// A program that starts another one, which starts a third, and waits.
const parent = `
  import { exec } from ${JSON.stringify(child)};
  const req = { signal: AbortSignal.timeout(Number(process.argv[2])), output: async (from, line) => console.log(from, line) };
  const { code, signal } = await exec(req, ["/bin/sh", "-c", process.argv[1]], { grace: 200 });
  console.log("ended", code, signal);
`;
const start = (script, patience = 60_000) => spawn(process.execPath, ["--input-type=module", "-e", parent, script, String(patience)], { stdio: ["ignore", "pipe", "inherit"] });

async function said(program) {
  let text = "";
  for await (const chunk of program.stdout) text += chunk;
  return text;
}

test("what a program writes arrives by line, and how it ended", async () => {
  assert.equal(await said(start("echo one; sleep 0.1; echo two >&2; exit 3")), "stdout one\nstderr two\nended 3 null\n");
});

test("a program that is not there ends with 127", async () => {
  assert.match(await said(start("exec /no/such/program")), /ended 12[67] null\n$/);
});

test("a program that is told to stop and does not is killed with all that it started", async (t) => {
  const file = join(scratch(t), "pids");
  const text = await said(start(`trap '' TERM; sleep 1000 & echo $! $$ >${file}; while :; do sleep 1; done`, 500));
  assert.match(text, /ended null SIGKILL/);
  const pids = read(file).split(" ");
  await until("what it started lives", () => !pids.some(alive));
});

test("somebody who left the group and holds the output open is not waited for", { skip: process.platform !== "linux" && "setsid is not everywhere" }, async (t) => {
  const file = join(scratch(t), "pid");
  const program = start(`setsid sh -c 'echo $$ >${file}; sleep 1000' & until [ -s ${file} ]; do sleep 0.01; done; echo done`);
  const text = await said(program);
  const leader = Number(read(file));
  assert.ok(leader > 1 && alive(leader));
  process.kill(-leader, "SIGKILL");
  assert.equal(text, "stdout done\nended 0 null\n");
});

test("what was started dies with a plugin that is killed", async (t) => {
  const file = join(scratch(t), "pids");
  const program = start(`sleep 1000 & echo $! $$ >${file}; wait`);
  await until("nothing is started", () => read(file).includes(" "));
  const pids = read(file).split(" ");
  assert.ok(pids.every(alive));
  program.kill("SIGKILL");
  await until("what it started lives", () => !pids.some(alive));
});

const fixture = fileURLToPath(new URL("fixture/plugin", import.meta.url));

test("started by hand it says what it is", async () => {
  for (const [args, code, text] of [[[], 2, ""], [["version"], 0, "fixture 1.2.3-test (protocol 1"], [["--help"], 0, "is the plugin"], [["dance"], 2, ""]]) {
    const program = spawn(process.execPath, [fixture, ...args], { stdio: ["ignore", "pipe", "ignore"] });
    const out = said(program);
    assert.equal((await once(program, "exit"))[0], code);
    assert.ok((await out).includes(text));
  }
});
