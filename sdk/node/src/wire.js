/**
 * To and from messages, as proto-loader gives and takes them; the protocol files
 * themselves are found here too.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const services = ["plugin", "action", "target", "strategy", "metrics"];

/** The largest message in either direction, in bytes. */
export const MAX_MESSAGE = 16 << 20;

/** Loads the services: { plugin, action, target, strategy, metrics }, each a definition for a server. */
export function loadServices() {
  // Beside the sources when installed from a package; in the repository, where all languages find them.
  const root = ["../proto", "../../proto"].map((p) => fileURLToPath(new URL(p, import.meta.url))).find((p) => existsSync(`${p}/runner`));
  if (!root) throw new Error("the protocol files are missing: the package is not complete");
  const files = services.map((name) => `runner/${name}/v1/${name}.proto`);
  const tree = grpc.loadPackageDefinition(
    loader.loadSync(files, { includeDirs: [root], longs: Number, enums: String, defaults: true, oneofs: true }),
  );
  return Object.fromEntries(services.map((name) => [name, tree.runner[name].v1[`${name[0].toUpperCase()}${name.slice(1)}Service`].service]));
}

const MAX_LINE = 64 << 10;

/** Text that is valid, and no longer than a log line may be. */
export function text(value) {
  const s = String(value).toWellFormed();
  if (s.length <= MAX_LINE / 4 || Buffer.byteLength(s) <= MAX_LINE) return s;
  const kept = Buffer.from(s).subarray(0, MAX_LINE).toString().replace(/\uFFFD$/, "");
  return `${kept}… (${Buffer.byteLength(s) - Buffer.byteLength(kept)} bytes left out)`;
}

const texts = (labels) => Object.fromEntries(Object.entries(labels ?? {}).map(([k, v]) => [text(k), text(v)]));

export const pathTo = (path) => ({ steps: path.map((s) => (typeof s === "number" ? { index: s } : { name: text(s) })) });
export const pathFrom = (path) => (path?.steps ?? []).map((s) => (s.step === "index" ? s.index : s.name));

/** @param {Date | null | undefined} at */
export function timeTo(at) {
  if (at == null) return undefined;
  const ms = at.getTime();
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}
export const timeFrom = (t) => (t ? new Date(t.seconds * 1000 + Math.floor(t.nanos / 1e6)) : null);

/** @param {number | undefined} ms */
export function durationTo(ms) {
  if (!ms) return undefined;
  const seconds = Math.trunc(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}
export const durationFrom = (d) => (d ? d.seconds * 1000 + d.nanos / 1e6 : 0);

/** A table between our words and the protocol's. */
function words(prefix, ours, unspecified) {
  const to = Object.fromEntries(ours.map((w) => [w, `${prefix}_${w.toUpperCase()}`]));
  const from = Object.fromEntries(Object.entries(to).map(([w, p]) => [p, w]));
  if (unspecified !== undefined) from[`${prefix}_UNSPECIFIED`] = unspecified;
  return {
    to(word, what) {
      if (!Object.hasOwn(to, word)) throw new TypeError(`${what} is ${JSON.stringify(word)}; it must be one of ${ours.join(", ")}`);
      return to[word];
    },
    from: (name) => from[name],
  };
}

const weightKinds = words("WEIGHT_KIND", ["none", "switch", "percent"], "none");
const changeActions = words("CHANGE_ACTION", ["create", "update", "delete", "run"]);
const waysBack = words("WAY_BACK", ["none", "best_effort", "exact"]);
export const verdictValues = words("VERDICT_VALUE", ["pass", "fail", "inconclusive"], "");
export const answerValues = words("ANSWER_VALUE", ["pending", "yes", "no"], "");
export const kinds = words("KIND", ["action", "target", "strategy", "metrics"], "");
export const classes = words("CLASS", ["convergent", "once", "read"]);
export const states = words("RECONCILE_STATE", ["not_started", "running", "done", "unknown"]);

export const wayBackTo = (way = "none") => waysBack.to(way, "wayBack");
export const changesTo = (changes = []) => changes.map((c) => ({ action: changeActions.to(c.action ?? "run", "a change's action"), subject: text(c.subject ?? ""), summary: text(c.summary ?? "") }));

export const diagnosticsTo = (list) => list.map((d) => ({
  severity: d.severity === "warning" ? "SEVERITY_WARNING" : "SEVERITY_ERROR", summary: text(d.summary), detail: text(d.detail), code: d.code,
  path: d.path.length > 0 ? pathTo(d.path) : undefined,
}));

const retries = { never: "RETRY_NEVER", safe: "RETRY_SAFE", later: "RETRY_AFTER" };
const effects = { unknown: "EFFECT_UNKNOWN", none: "EFFECT_NONE", done: "EFFECT_DONE" };

/** @param {import("./problem.js").Problem} p */
export const failureTo = (p) => ({ diagnostics: diagnosticsTo(p.diagnostics), retry: retries[p.retry], after: durationTo(p.after), effect: effects[p.effect] });

/** A configuration as it arrives. */
export const valueFrom = (v) => (v && v.json.length > 0
  ? { json: v.json.toString(), unknown: v.unknown.map(pathFrom) }
  : { json: "{}", unknown: [] });
export const emptyValue = () => ({ json: Buffer.from("{}") });

export const callFrom = (c) => ({
  key: c?.key ?? "", run: c?.run ?? "", pipeline: c?.pipeline ?? "", node: c?.node ?? "", environment: c?.environment ?? "", target: c?.target ?? "",
  attempt: c?.attempt ?? 0, deadline: timeFrom(c?.deadline), traceparent: c?.traceparent ?? "", tracestate: c?.tracestate ?? "",
});

const artifactTo = (a) => ({
  digest: a.digest, mediaType: a.media_type ?? "", uri: a.uri ?? "", size: a.size ?? 0, labels: texts(a.labels), path: a.path ?? "",
});
const artifactFrom = (a) => (a ? { digest: a.digest, media_type: a.mediaType, uri: a.uri, size: a.size, labels: a.labels, path: a.path } : null);
export const artifactsTo = (list = []) => list.map(artifactTo);

export const releaseTo = (r) => ({
  id: r.id, version: text(r.version ?? ""), labels: texts(r.labels), address: text(r.address ?? ""), created: timeTo(r.created),
  artifact: r.artifact ? artifactTo(r.artifact) : undefined,
});
export const releaseFrom = (r) => ({
  id: r.id, version: r.version, labels: r.labels, address: r.address, created: timeFrom(r.created), artifact: artifactFrom(r.artifact),
});

export const handleFrom = (h) => (h ? { id: h.id, opaque: h.opaque } : null);
export const handleTo = (h) => (h ? { id: text(h.id), opaque: bytes(h.opaque) } : undefined);

/** Bytes from a Buffer, a Uint8Array or text; empty for nothing. */
export const bytes = (data) => (data == null ? Buffer.alloc(0) : Buffer.from(data));

/** @param {import("./describe.js").Capabilities} c */
export function capabilitiesTo(c) {
  const weights = c.weights ?? "none";
  if (weights === "percent" && !(Number.isInteger(c.step) && c.step > 0 && c.step <= 100_000)) {
    throw new TypeError(`capabilities: with weights "percent" a step from 1 to 100000 thousandths is needed, not ${c.step}`);
  }
  return {
    sideBySide: c.sideBySide, weights: weightKinds.to(weights, "weights"), weightStep: c.step ?? 0, propagation: durationTo(c.propagation),
    releaseAddress: c.releaseAddress, releaseMetrics: c.releaseMetrics, capacity: c.capacity, sticky: c.sticky, mirror: c.mirror, headerRouting: c.headerRouting,
    metrics: readyTo(c.metrics ?? {}),
  };
}

const sorted = (o) => Object.entries(o).sort(([a], [b]) => (a < b ? -1 : 1));

const readyTo = (metrics) => sorted(metrics).map(([name, m]) => {
  if (!m.component || !["lower", "higher", "same"].includes(m.better)) {
    throw new TypeError(`capabilities: the ready-made metric ${JSON.stringify(name)} needs a component, and better as lower, higher or same`);
  }
  return { name, component: m.component, better: m.better, config: sorted(m.config ?? {}).map(([attr, value]) => ({ name: attr, value: String(value) })) };
});

export const capabilitiesFrom = (c) => ({
  sideBySide: c.sideBySide, weights: weightKinds.from(c.weights) ?? "none", step: c.weightStep, propagation: durationFrom(c.propagation),
  releaseAddress: c.releaseAddress, releaseMetrics: c.releaseMetrics, capacity: c.capacity, sticky: c.sticky, mirror: c.mirror, headerRouting: c.headerRouting,
  metrics: Object.fromEntries((c.metrics ?? []).map((m) => [m.name, { component: m.component, better: m.better, config: Object.fromEntries(m.config.map((a) => [a.name, a.value])) }])),
});

export const needsTo = (n) => ({
  sideBySide: n.sideBySide, weights: weightKinds.to(n.weights ?? "none", "weights"), releaseAddress: n.releaseAddress, releaseMetrics: n.releaseMetrics,
});
