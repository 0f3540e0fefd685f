/**
 * The shape of what serve is given, and what Describe makes of it.
 *
 * Every component has config (a body, see schema.js), and may have doc and
 * validate(config, report). Its functions get the decoded configuration first.
 *
 * @typedef {object} Plugin
 * @property {string} name short, such as aws; the program is called runner-plugin-aws
 * @property {string} version semantic, without a leading v
 * @property {Record<string, string>} [env] environment variables that it wants, each with what for
 * @property {number} [maxParallel] calls at the same time; no limit by default
 * @property {Configuration} [config] the plugin block, where it takes one
 * @property {Record<string, Action>} [actions]
 * @property {Record<string, Target>} [targets]
 * @property {Record<string, Strategy>} [strategies]
 * @property {Record<string, Metrics>} [metrics]
 *
 * @typedef {object} Configuration
 * @property {import("./schema.js").Body} body
 * @property {(config, report) => void} [validate]
 * @property {(config) => void | Promise<void>} [configure] called once, before any operation
 * @property {(signal) => string | Promise<string>} [check] as whom the plugin acts; throws what is missing
 *
 * @typedef {object} Action
 * @property {import("./schema.js").Body} config
 * @property {string} [doc]
 * @property {import("./schema.js").Body} [outputs]
 * @property {boolean} [convergent] run states what should be so: twice leaves what once would
 * @property {(config, report: import("./problem.js").Report) => void} [validate]
 * @property {(config, req) => Promise<{outputs?, artifacts?, undo?, world?} | void>} run req.sealed is from plan
 * @property {(config, req) => Promise<{changes?, outputs?, sealed?, world?, wayBack?, estimate?, deferred?, needs?}>} [plan] changes nothing
 * @property {(config, req) => Promise<void>} [undo] req.undo is from run; may be called again
 * @property {(config, req) => Promise<{outputs?, drift?, world?}>} [read] changes nothing
 * @property {(config, req) => Promise<{state: string, handle?, result?, error?, retry?}>} [reconcile] req.operation, req.handle
 *
 * @typedef {object} Capabilities
 * @property {boolean} [sideBySide]
 * @property {"none" | "switch" | "percent"} [weights]
 * @property {number} [step] smallest step of a weight in thousandths of a percent
 * @property {number} [propagation] milliseconds
 * @property {boolean} [releaseAddress]
 * @property {boolean} [releaseMetrics]
 * @property {boolean} [capacity]
 * @property {boolean} [sticky]
 * @property {boolean} [mirror]
 * @property {boolean} [headerRouting]
 * @property {Record<string, {component: string, config?: Record<string, string>, better: "lower" | "higher" | "same"}>} [metrics]
 *   ready-made metrics of its releases, such as error_rate
 *
 * @typedef {object} Target all its operations are convergent; weights are thousandths of a percent
 * @property {import("./schema.js").Body} config
 * @property {string} [doc]
 * @property {(config) => Capabilities} capabilities as configured; in Describe, of the defaults
 * @property {(config, report: import("./problem.js").Report) => void} [validate]
 * @property {(config, req) => Promise<{stable?, releases?, weights?, world?}>} observe changes nothing
 * @property {(config, req) => Promise<{changes?, estimate?}>} [plan] changes nothing
 * @property {(config, req) => Promise<object>} install req.release; gives the release, at weight 0
 * @property {(config, req) => Promise<void>} setWeight req.release, req.weight, req.expect
 * @property {(config, req) => Promise<void>} [scale] req.release, req.capacity
 * @property {(config, req) => Promise<void>} settle req.release
 * @property {(config, req) => Promise<void>} retire req.release
 *
 * @typedef {object} Strategy a pure function: no clock, no network, no randomness
 * @property {import("./schema.js").Body} config
 * @property {string} [doc]
 * @property {(config) => object} needs sideBySide, weights, releaseAddress, releaseMetrics
 * @property {(config, report: import("./problem.js").Report) => void} [validate]
 * @property {(config, snapshot) => object} next
 *
 * @typedef {object} Metrics
 * @property {import("./schema.js").Body} config
 * @property {string} [doc]
 * @property {(config, report: import("./problem.js").Report) => void} [validate]
 * @property {(config, req) => Promise<{releases, completeUntil}>} measure req.releases, req.from, req.to
 * @property {(config, req) => Promise<{windows, reason?}>} [past] req.release, req.from, req.to, req.window in milliseconds; a window is {from, to, data}
 */
import { defaults, wrongDefaults } from "./decode.js";
import { schemaMessage } from "./schema.js";
import { capabilitiesTo, classes, kinds, needsTo } from "./wire.js";

export const SDK_VERSION = "0.1.0";

const common = ["config", "doc", "validate"];

/** By kind: where its components are listed, what each must have, and may. */
const shapes = {
  action: { key: "actions", must: ["run"], may: ["outputs", "convergent", "plan", "undo", "read", "reconcile"] },
  metrics: { key: "metrics", must: ["measure"], may: ["past"] },
  strategy: { key: "strategies", must: ["needs", "next"], may: [] },
  target: { key: "targets", must: ["capabilities", "observe", "install", "setWeight", "settle", "retire"], may: ["plan", "scale"] },
};

const operation = (name, cls, reconcile = false) => ({ name, class: classes.to(cls, "class"), reconcile });

function operations(kind, c) {
  const reconcile = Boolean(c.reconcile);
  switch (kind) {
    case "action":
      return [
        operation("run", c.convergent ? "convergent" : "once", reconcile),
        ...(c.undo ? [operation("undo", "convergent", reconcile)] : []),
        ...(c.plan ? [operation("plan", "read")] : []),
        ...(c.read ? [operation("read", "read")] : []),
      ];
    case "target":
      return [
        operation("observe", "read"), operation("plan", "read"),
        ...["install", "set_weight", "settle", "retire", ...(c.scale ? ["scale"] : [])].map((name) => operation(name, "convergent")),
      ];
  }
  if (kind === "strategy") return [operation("next", "read")];
  return [operation("measure", "read"), ...(c.past ? [operation("past", "read")] : [])];
}

/** Finds components, and says what Describe answers. All mistakes are found at once. */
export class Description {
  /** @param {Plugin} plugin */
  constructor(plugin) {
    this.plugin = plugin;
    this.mistakes = [];
    const known = ["name", "version", "env", "maxParallel", "config", ...Object.values(shapes).map((s) => s.key)];
    this.only("the plugin", plugin, known);
    this.check(/^[a-z][a-z0-9-]*$/.test(plugin.name), `the plugin's name ${JSON.stringify(plugin.name)} must be lower case letters, digits and hyphens`);
    this.check(/^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)([-+][0-9A-Za-z.+-]+)?$/.test(plugin.version), `the version ${JSON.stringify(plugin.version)} must be semantic and without a leading v, such as 0.1.0`);
    this.check(Number.isInteger(plugin.maxParallel ?? 0) && (plugin.maxParallel ?? 0) >= 0, "maxParallel must be a whole number and not negative");
    this.message = {
      name: plugin.name, version: plugin.version, sdk: `node/${SDK_VERSION}`, limits: { maxParallel: plugin.maxParallel ?? 0 },
      envWanted: Object.entries(plugin.env ?? {}).sort().map(([name, doc]) => ({ name, doc })), components: [], features: [],
    };
    if (plugin.config) {
      this.only("config", plugin.config, ["body", "validate", "configure", "check"]);
      this.message.config = this.schema("the plugin block", plugin.config.body);
    }
    const owners = new Map();
    for (const kind of Object.keys(shapes)) {
      for (const [name, c] of Object.entries(plugin[shapes[kind].key] ?? {}).sort()) {
        this.check(!owners.has(name), `${kind} ${JSON.stringify(name)}: the name already belongs to a component of kind ${owners.get(name)}`);
        owners.set(name, kind);
        this.component(kind, name, c);
      }
    }
  }

  check(ok, text) {
    if (!ok) this.mistakes.push(text);
  }

  only(where, object, known) {
    for (const name of Object.keys(object)) this.check(known.includes(name), `${where} has no part named ${name}; there are ${known.join(", ")}`);
  }

  attempt(where, f) {
    try {
      return f();
    } catch (err) {
      this.mistakes.push(`${where}: ${err.message}`);
      return undefined;
    }
  }

  schema(where, body, doc) {
    return this.attempt(where, () => {
      const message = schemaMessage(body, doc);
      for (const d of wrongDefaults(body)) this.mistakes.push(`${where}: the default of ${d.path.join(".")}: ${d.detail}`);
      return message;
    });
  }

  component(kind, name, c) {
    const where = `${kind} ${JSON.stringify(name)}`;
    this.check(/^[a-z][a-z0-9_]*$/.test(name), `${where}: the name must be lower case letters, digits and underscores`);
    const { must, may } = shapes[kind];
    this.only(where, c, [...common, ...must, ...may]);
    for (const part of must) this.check(typeof c[part] === "function", `${where}: a function ${part} is needed`);
    const message = {
      name, kind: kinds.to(kind, "kind"), doc: c.doc ?? "", operations: operations(kind, c),
      config: this.schema(where, c.config ?? {}), outputs: c.outputs && this.schema(`${where}: outputs`, c.outputs),
    };
    if (this.mistakes.length === 0 && kind === "target") {
      message.target = this.attempt(where, () => capabilitiesTo(c.capabilities(defaults(c.config ?? {}))));
      this.check(!message.target?.capacity || c.scale, `${where}: capacity is declared, so a function scale is needed`);
    }
    if (this.mistakes.length === 0 && kind === "strategy") {
      message.strategy = this.attempt(where, () => needsTo(c.needs(defaults(c.config ?? {}))));
    }
    this.message.components.push(message);
  }

  /** The component, or undefined. */
  find(kind, name) {
    const all = this.plugin[shapes[kind]?.key] ?? {};
    return Object.hasOwn(all, name) ? all[name] : undefined;
  }
}
