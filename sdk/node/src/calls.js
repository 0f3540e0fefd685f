/**
 * The frame of every call: it finds the component, decodes its configuration,
 * tells the outcome, and stops when the host says so.
 */
import grpc from "@grpc/grpc-js";
import { decode, hasPrefix } from "./decode.js";
import { Problem, Refusal, Report, hasErrors, mistake, problemOf } from "./problem.js";
import { Events, Request, processLog } from "./request.js";
import { MAX_MESSAGE, callFrom, diagnosticsTo, failureTo, valueFrom } from "./wire.js";

/** The longest delay that a timer takes. */
const longest = 2 ** 31 - 1;

export class Calls {
  /** @param {import("./describe.js").Description} description */
  constructor(description) {
    this.description = description;
    this.configured = !description.plugin.config;
    /** Operations under way, by key. @type {Map<string, Set<AbortController>>} */
    this.underWay = new Map();
    this.running = new Set();
  }

  /** Asks every operation with this key to stop; all operations without a key. */
  cancel(key) {
    for (const [k, set] of this.underWay) if (key === undefined || k === key) for (const c of set) c.abort(new Error("the runner said so"));
  }

  /** Resolves when no call is under way any more. */
  async idle() {
    while (this.running.size > 0) await Promise.allSettled(this.running);
  }

  /**
   * Runs f until it is done, with a signal that ends at the deadline, when the
   * stream is cut, or when the host cancels.
   */
  async limited(stream, call, f) {
    const controller = new AbortController();
    const set = this.underWay.get(call.key) ?? new Set();
    this.underWay.set(call.key, set.add(controller));
    const stop = (why) => () => controller.abort(new Error(why));
    stream.on("cancelled", stop("the runner is gone"));
    const left = call.deadline ? call.deadline.getTime() - Date.now() : longest;
    const timer = left < longest ? setTimeout(stop("the time is over"), Math.max(0, left)) : undefined;
    const work = (async () => f(controller.signal))();
    this.running.add(work);
    try {
      return await work;
    } finally {
      this.running.delete(work);
      clearTimeout(timer);
      set.delete(controller);
      if (set.size === 0) this.underWay.delete(call.key);
    }
  }

  /** Finds what a request names and reads its configuration. */
  component(kind, name, operation, method, value, acts) {
    const c = this.description.find(kind, name);
    if (!c) throw new Refusal(grpc.status.NOT_FOUND, `there is no ${kind} named ${JSON.stringify(name)}`);
    if (!c[method]) throw new Refusal(grpc.status.UNIMPLEMENTED, `${kind} ${JSON.stringify(name)} offers no operation ${JSON.stringify(operation)}`);
    if (!this.configured) {
      throw new Problem("Plugin not configured", `The plugin ${JSON.stringify(this.description.plugin.name)} was asked to work before it was given its configuration.`, { effect: "none" });
    }
    const { json, unknown } = valueFrom(value);
    if (acts && unknown.length > 0) {
      throw new Refusal(grpc.status.INVALID_ARGUMENT, `${operation} of ${kind} ${JSON.stringify(name)}: the configuration is not wholly known`);
    }
    const { config, diagnostics } = decode(c.config ?? {}, json, unknown);
    if (!hasErrors(diagnostics) && unknown.length === 0) diagnostics.push(...validate(c, config, []));
    if (hasErrors(diagnostics)) throw Problem.of(diagnostics, { effect: "none" });
    return { c, config, unknown };
  }

  /**
   * A streamed call. work(c, config, req) gives the outcome.
   */
  async operation(stream, { kind, name, method, more }, work) {
    const request = stream.request;
    const call = callFrom(request.call);
    const events = new Events(stream);
    let outcome;
    try {
      outcome = await this.limited(stream, call, async (signal) => {
        try {
          const { c, config } = this.component(kind, request.component, name, method, request.config, true);
          const req = Object.assign(new Request(call, signal, [], events), more);
          return checkSize(name, await work(c, config, req));
        } catch (err) {
          if (err instanceof Refusal) throw err;
          logCrash(err, name, events);
          return { failure: failureTo(problemOf(err, name, signal)) };
        }
      });
    } catch (err) {
      stream.emit("error", { code: err.code ?? grpc.status.INTERNAL, details: err.message });
      return;
    }
    events.end(outcome);
  }

  /**
   * A call that changes nothing. work(c, config, req) gives the answer; a problem
   * becomes what failed(failure) makes of it.
   */
  async question(callee, callback, { kind, name, method, more, failed, acts = false }, work) {
    const request = callee.request;
    const call = callFrom(request.call);
    try {
      const answer = await this.limited(callee, call, async (signal) => {
        try {
          const { c, config, unknown } = this.component(kind, request.component, name, method, request.config, acts);
          return await work(c, config, Object.assign(new Request(call, signal, unknown), more));
        } catch (err) {
          if (err instanceof Refusal) throw err;
          logCrash(err, name);
          const p = problemOf(err, name, signal);
          if (!hasErrors(p.diagnostics)) return { diagnostics: diagnosticsTo(p.diagnostics) };
          p.effect = "none";
          return failed(failureTo(p));
        }
      });
      callback(null, answer);
    } catch (err) {
      callback({ code: err.code ?? grpc.status.INTERNAL, details: err.message });
    }
  }
}

function logCrash(err, operation, events) {
  if (!(err instanceof Error) || err instanceof Problem) return;
  const attributes = { stack: err.stack };
  if (events) void events.log("debug", `${operation} failed`, attributes);
  else processLog.debug(`${operation} failed`, attributes);
}

function checkSize(operation, outcome) {
  const size = (outcome.outputs?.json?.length ?? 0) + (outcome.sealedUndo?.length ?? 0);
  if (size > MAX_MESSAGE - (1 << 20)) {
    throw new Problem("Result too large", `The result of ${operation} has ${size} bytes; the host takes at most ${MAX_MESSAGE - (1 << 20)}.`, { effect: "done" });
  }
  return outcome;
}

/**
 * Asks a component about its own configuration. While anything is unknown, what
 * it says about unknown places, or about no place, is dropped.
 */
export function validate(component, config, unknown) {
  if (!component.validate) return [];
  const report = new Report();
  try {
    component.validate(config, report);
  } catch (err) {
    if (unknown.length > 0 && !(err instanceof Problem)) return []; // it met what is not there yet
    logCrash(err, "validate");
    const p = problemOf(err, "validate");
    report.diagnostics.push(...p.diagnostics);
  }
  if (unknown.length === 0) return report.diagnostics;
  return report.diagnostics.filter((d) => !unknown.some((u) => hasPrefix(d.path, u) || (d.path.length > 0 && hasPrefix(u, d.path)))
    && (d.path.length > 0 || d.severity === "warning"));
}

/** What a component declares it gives, or a mistake. */
export function checkedOutputs(body, outputs, encode) {
  if (outputs == null && !body) return { json: Buffer.from("{}") };
  if (!body) throw mistake("Invalid outputs", "The component gives outputs and declares none.", { effect: "done" });
  const { json, sensitive, diagnostics } = encode(body, outputs ?? {});
  if (diagnostics.length > 0) {
    throw mistake("Invalid outputs", `The output ${diagnostics[0].path.join(".")} is not as declared: ${diagnostics[0].detail}`, { effect: "done" });
  }
  return { json: Buffer.from(json), sensitive };
}
