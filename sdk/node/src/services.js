/**
 * The services, as tables from RPC to handler. One kind after the other; what
 * is common to calls is in calls.js.
 */
import grpc from "@grpc/grpc-js";
import { checkedOutputs, validate } from "./calls.js";
import { decode, encode } from "./decode.js";
import { Problem, Refusal, hasErrors, mistake, problemOf } from "./problem.js";
import { allows } from "./weights.js";
import {
  answerValues, artifactsTo, bytes, callFrom, capabilitiesFrom, capabilitiesTo, changesTo, diagnosticsTo, durationFrom, durationTo, emptyValue, failureTo,
  handleFrom, handleTo, kinds, pathTo, releaseFrom, releaseTo, states, text, timeFrom, timeTo, valueFrom, verdictValues, wayBackTo,
} from "./wire.js";

const asFailure = (failure) => ({ failure });
const MAX_MEMORY = 16 << 10;

const actionOutcome = (c, r = {}) => ({
  outputs: withSensitive(checkedOutputs(c.outputs, r?.outputs, encode)), artifacts: artifactsTo(r?.artifacts), sealedUndo: bytes(r?.undo), worldVersion: text(r?.world ?? ""),
});
const withSensitive = ({ json, sensitive = [] }) => ({ json, sensitive: sensitive.map(pathTo) });

/** @param {import("./calls.js").Calls} calls */
export function pluginService(calls) {
  const { plugin, message } = calls.description;
  const answered = (f) => async (callee, callback) => {
    try {
      callback(null, await f(callee.request));
    } catch (err) {
      callback({ code: err.code ?? grpc.status.INTERNAL, details: err.message });
    }
  };
  let configuring = false;
  return {
    describe: answered(() => message),
    configure: answered(async (request) => {
      if (!plugin.config) throw new Refusal(grpc.status.UNIMPLEMENTED, `the plugin ${JSON.stringify(plugin.name)} takes no configuration`);
      const { json, unknown } = valueFrom(request.config);
      if (unknown.length > 0) throw new Refusal(grpc.status.INVALID_ARGUMENT, "the plugin's configuration is not wholly known");
      if (calls.configured || configuring) throw new Refusal(grpc.status.FAILED_PRECONDITION, `the plugin ${JSON.stringify(plugin.name)} is configured already`);
      configuring = true;
      try {
        const { config, diagnostics } = decode(plugin.config.body, json, []);
        if (!hasErrors(diagnostics)) diagnostics.push(...validate(plugin.config, config, []));
        if (!hasErrors(diagnostics)) {
          try {
            await plugin.config.configure?.(config);
          } catch (err) {
            return { failure: failureTo(problemOf(err, "configure")) };
          }
          calls.configured = true;
        }
        return { diagnostics: diagnosticsTo(diagnostics) };
      } finally {
        configuring = false;
      }
    }),
    validate: answered((request) => {
      const kind = kinds.from(request.kind);
      let subject = calls.description.find(kind, request.component);
      if (kind === "" && request.component === "" && plugin.config) subject = { config: plugin.config.body, validate: plugin.config.validate };
      if (!subject) throw new Refusal(grpc.status.NOT_FOUND, `there is no ${kind} named ${JSON.stringify(request.component)}`);
      const { json, unknown } = valueFrom(request.config);
      const { config, diagnostics } = decode(subject.config ?? {}, json, unknown);
      if (!hasErrors(diagnostics)) diagnostics.push(...validate(subject, config, unknown));
      return { diagnostics: diagnosticsTo(diagnostics) };
    }),
    reconcile: (callee, callback) => calls.question(callee, callback, {
      kind: kinds.from(callee.request.kind), name: "reconcile", method: "reconcile", failed: asFailure,
      more: { operation: callee.request.operation, handle: handleFrom(callee.request.handle) },
    }, async (c, config, req) => {
      const r = await c.reconcile(config, req);
      const out = { state: states.to(r.state, "the state of a reconciliation"), retryAfter: durationTo(r.retry) };
      if (r.state === "running") out.handle = handleTo(r.handle);
      if (r.state === "done") out.outcome = r.error ? { failure: failureTo(problemOf(r.error, req.operation)) } : actionOutcome(c, r.result);
      return out;
    }),
    cancel: answered((request) => {
      calls.cancel(callFrom(request.call).key);
      return {};
    }),
    check: async (callee, callback) => {
      const out = { identity: "", diagnostics: [] };
      try {
        if (plugin.config?.check && calls.configured) out.identity = text((await plugin.config.check(AbortSignal.timeout(30_000))) ?? "");
      } catch (err) {
        out.diagnostics = diagnosticsTo(problemOf(err, "check").diagnostics);
      }
      callback(null, out);
    },
  };
}

/** @param {import("./calls.js").Calls} calls */
export function actionService(calls) {
  return {
    plan: (callee, callback) => calls.question(callee, callback, { kind: "action", name: "plan", method: "plan", failed: asFailure }, async (c, config, req) => {
      const p = await c.plan(config, req);
      const unknownOutputs = { json: Buffer.from("null"), unknown: [pathTo([])] };
      return {
        changes: changesTo(p.changes), outputs: p.outputs == null ? unknownOutputs : withSensitive(checkedOutputs(c.outputs, p.outputs, encode)),
        sealedPlan: bytes(p.sealed), worldVersion: text(p.world ?? ""), wayBack: wayBackTo(p.wayBack), estimate: durationTo(p.estimate),
        deferred: p.deferred || p.needs?.length ? { reason: text(p.deferred ?? ""), needs: (p.needs ?? []).map(pathTo) } : undefined,
      };
    }),
    run: (stream) => calls.operation(stream, { kind: "action", name: "run", method: "run", more: { sealed: nonEmpty(stream.request.sealedPlan) } },
      async (c, config, req) => actionOutcome(c, await c.run(config, req))),
    undo: (stream) => calls.operation(stream, { kind: "action", name: "undo", method: "undo", more: { undo: nonEmpty(stream.request.sealedUndo) } },
      async (c, config, req) => {
        await c.undo(config, req);
        return { outputs: emptyValue() };
      }),
    read: (callee, callback) => calls.question(callee, callback, { kind: "action", name: "read", method: "read", failed: asFailure }, async (c, config, req) => {
      const r = await c.read(config, req);
      return { outputs: withSensitive(checkedOutputs(c.outputs, r.outputs, encode)), drift: changesTo(r.drift), worldVersion: text(r.world ?? "") };
    }),
  };
}

const nonEmpty = (b) => (b.length > 0 ? b : null);

/** @param {import("./calls.js").Calls} calls */
export function targetService(calls) {
  // After every operation the target is observed: a weight counts only when it is seen from outside.
  const act = (name, method, more, check = () => {}) => (stream) => calls.operation(stream, { kind: "target", name, method, more: more(stream.request) },
    async (c, config, req) => {
      check(c, config, req);
      const release = await c[method](config, req);
      let seen;
      try {
        seen = await c.observe(config, req);
      } catch (err) {
        throw new Problem("Target not observed", `The operation succeeded, but the target could not be observed after it: ${err.message}`, { effect: "done" });
      }
      if (name === "set_weight") readBack(seen, req);
      const out = { outputs: emptyValue(), worldVersion: text(seen.world ?? "") };
      if (name === "install") out.release = releaseTo(release ?? {});
      return out;
    });
  const ofRelease = (request) => ({ release: request.release });
  return {
    observe: (callee, callback) => calls.question(callee, callback, { kind: "target", name: "observe", method: "observe", failed: asFailure }, async (c, config, req) => {
      const o = await c.observe(config, req);
      return {
        stable: o.stable ?? "", releases: (o.releases ?? []).map(releaseTo), worldVersion: text(o.world ?? ""),
        weights: Object.entries(o.weights ?? {}).sort().map(([release, weight]) => ({ release, weight })),
      };
    }),
    plan: (callee, callback) => calls.question(callee, callback, { kind: "target", name: "plan", method: "observe", failed: asFailure }, async (c, config, req) => {
      const p = c.plan ? await c.plan(config, req) : {};
      return { capabilities: narrowed(calls, callee.request.component, c, config, req), changes: changesTo(p.changes), estimate: durationTo(p.estimate) };
    }),
    install: act("install", "install", (request) => ({ release: releaseFrom(request.release) })),
    setWeight: act("set_weight", "setWeight", (request) => ({ release: request.release, weight: request.weight, expect: request.expectWorldVersion }), (c, config, req) => {
      if (!allows(c.capabilities(config), req.weight)) {
        throw new Problem("Weight not possible", `The target cannot have a weight of ${req.weight / 1000}% exactly, and weights are never rounded.`, { effect: "none" });
      }
    }),
    scale: act("scale", "scale", (request) => ({ release: request.release, capacity: request.capacity })),
    settle: act("settle", "settle", ofRelease),
    retire: act("retire", "retire", ofRelease),
  };
}

/** What the target can do as configured; as declared, where that hangs on what is not known yet. */
function narrowed(calls, name, c, config, req) {
  try {
    return capabilitiesTo(c.capabilities(config));
  } catch (err) {
    if (req.unknown.length === 0) throw err;
    return calls.description.message.components.find((d) => d.name === name && d.target).target;
  }
}

function readBack(seen, { release, weight }) {
  const now = seen.weights?.[release] ?? 0;
  if (now === weight) return;
  throw new Problem("Weight not in place", `Release ${release} should have ${weight / 1000}% of the traffic; seen from outside it has ${now / 1000}%.`, { retry: "safe", effect: "none" });
}

const verdictFrom = (v) => ({ value: known(verdictValues, v?.value ?? "VERDICT_VALUE_UNSPECIFIED", "verdict"), since: timeFrom(v?.since), n: v?.n ?? 0 });
const answerFrom = (a) => ({ name: a.name, value: known(answerValues, a.value, "answer"), since: timeFrom(a.since) });

function known(table, value, what) {
  const word = table.from(value);
  if (word === undefined) {
    throw new Problem("Snapshot not understood", `The runner told the strategy what it does not know: ${what} ${value}. The plugin may be too old for this runner.`);
  }
  return word;
}

const snapshotFrom = (s, memory) => ({
  rollout: s.rollout, wave: s.wave, now: timeFrom(s.now), firstDeployment: s.firstDeployment,
  targets: s.targets.map((t) => ({ ...t, capabilities: capabilitiesFrom(t.capabilities) })),
  steps: s.steps.map((st) => ({ id: st.id, title: st.title, at: timeFrom(st.at) })),
  harm: verdictFrom(s.harm), step: verdictFrom(s.step),
  approvals: s.approvals.map(answerFrom), verifications: s.verifications.map(answerFrom),
  inFlight: s.inFlight, lastFailure: s.lastFailure, memory: nonEmpty(memory),
});

const decisionParts = ["step", "changes", "wait", "finish", "abort", "memory", "why"];
const waitParts = ["until", "verdict", "approval", "verification", "ready"];

function changeTo(c) {
  const kinds = ["install", "weight", "retire"].filter((k) => c[k] !== undefined && c[k] !== false);
  if (!c.target || kinds.length !== 1) throw mistake("Invalid decision", `A change says ${JSON.stringify(c)}; it needs a target and one of install, weight and retire.`);
  return { target: c.target, [kinds[0]]: c[kinds[0]] };
}

function decisionTo(d) {
  for (const [parts, object] of [[decisionParts, d], [waitParts, d.wait ?? {}]]) {
    const odd = Object.keys(object).find((k) => !parts.includes(k));
    if (odd) throw mistake("Invalid decision", `A decision says ${odd}; there are ${parts.join(", ")}.`);
  }
  const memory = bytes(d.memory);
  if (memory.length > MAX_MEMORY) throw mistake("Strategy remembers too much", `Its memory has ${memory.length} bytes; at most ${MAX_MEMORY} are kept.`);
  return {
    step: d.step && { id: d.step.id, title: text(d.step.title ?? "") }, changes: (d.changes ?? []).map(changeTo),
    wait: d.wait && { ...d.wait, until: timeTo(d.wait.until) }, finish: Boolean(d.finish), abort: text(d.abort ?? ""), memory, why: text(d.why ?? ""),
  };
}

/** @param {import("./calls.js").Calls} calls */
export function strategyService(calls) {
  return {
    next: (callee, callback) => calls.question(callee, callback, { kind: "strategy", name: "next", method: "next", acts: true, failed: (f) => ({ diagnostics: f.diagnostics }) },
      (c, config) => decisionTo(c.next(config, snapshotFrom(callee.request.snapshot, callee.request.memory)))),
  };
}

function measuredTo(r) {
  const out = { release: r.id };
  if (r.counter) out.counter = r.counter;
  if (r.histogram) out.histogram = r.histogram;
  if (r.samples) out.samples = { values: r.samples };
  if (r.noData) out.noData = { reason: text(r.noData) };
  const n = Object.keys(out).length - 1;
  if (n !== 1) throw mistake("Invalid measurement", `Release ${r.id} has ${n} kinds of data; it needs one of counter, histogram, samples and noData.`);
  if (r.histogram && r.histogram.counts.length !== r.histogram.bounds.length + 1) {
    throw mistake("Invalid measurement", `Release ${r.id} has a histogram of ${r.histogram.bounds.length} bounds and ${r.histogram.counts.length} counts; there must be one count more than bounds.`);
  }
  return out;
}

/** @param {import("./calls.js").Calls} calls */
export function metricsService(calls) {
  return {
    measure: (callee, callback) => calls.question(callee, callback, {
      kind: "metrics", name: "measure", method: "measure", failed: asFailure,
      more: { releases: callee.request.releases.map(releaseFrom), from: timeFrom(callee.request.from), to: timeFrom(callee.request.to) },
    }, async (c, config, req) => {
      const m = await c.measure(config, req);
      return { releases: m.releases.map(measuredTo), completeUntil: timeTo(m.completeUntil) };
    }),
    past: (callee, callback) => calls.question(callee, callback, {
      kind: "metrics", name: "past", method: "past", failed: asFailure,
      more: { release: releaseFrom(callee.request.release), from: timeFrom(callee.request.from), to: timeFrom(callee.request.to), window: durationFrom(callee.request.window) },
    }, async (c, config, req) => {
      const p = await c.past(config, req);
      return { windows: p.windows.map((w) => ({ from: timeTo(w.from), to: timeTo(w.to), data: measuredTo(w.data) })), reason: text(p.reason ?? "") };
    }),
  };
}
