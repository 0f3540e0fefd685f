import { readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

import { Problem, duration, integer, string } from "@runner-pipelines/sdk";

const read = (file) => readFile(file, "utf8").catch((err) => (err.code === "ENOENT" ? null : Promise.reject(err)));
const wanted = ({ name }) => `Hello, ${name}!\n`;

/** The body of a stage that uses "greet": it writes a greeting into a file. */
export const greet = {
  doc: "Writes a greeting into a file.",
  config: {
    file: string({ doc: "Where the greeting goes." }),
    name: string({ default: "world", doc: "Who is greeted." }),
    after: duration({ default: "0s", doc: "How long to think about it." }),
  },
  outputs: {
    text: string({ doc: "What was written." }),
    length: integer({ doc: "How many characters it has." }),
  },
  convergent: true, // run states what should be in the file

  validate({ name, after }, report) {
    if (name === "") report.error("name", "Nobody to greet", "The name is empty; give the name of somebody, or leave it out to greet the world.");
    if (after < 0) report.error("after", "Negative duration", "Nobody can think for less than no time.");
  },

  async plan(config, req) {
    if (req.isUnknown("file") || req.isUnknown("name")) return { deferred: "the file or the name is not known yet", needs: req.unknown };
    const now = await read(config.file);
    const changes = now === wanted(config) ? [] : [{ action: now === null ? "create" : "update", subject: config.file, summary: `greets ${config.name}` }];
    return { changes, outputs: result(wanted(config)), wayBack: "exact", estimate: config.after };
  },

  async run(config, req) {
    req.log.info("thinking", { name: config.name });
    req.progress(0, "thinking");
    await sleep(config.after, undefined, { signal: req.signal });
    const before = await read(config.file);
    await writeFile(config.file, wanted(config)).catch((err) => {
      throw new Problem("Greeting not written", `${err.message}. Does the folder exist?`, { at: "file", effect: "none" });
    });
    return { outputs: result(wanted(config)), undo: JSON.stringify(before) };
  },

  // Called again after a failure, so what is there already is left.
  async undo(config, req) {
    const before = JSON.parse(req.undo.toString());
    await (before === null ? rm(config.file, { force: true }) : writeFile(config.file, before));
  },

  async read(config) {
    const now = await read(config.file);
    const drift = now === wanted(config) ? [] : [{ action: "update", subject: config.file, summary: "holds another text" }];
    return { outputs: result(now ?? ""), drift };
  },
};

const result = (text) => ({ text, length: text.length });
