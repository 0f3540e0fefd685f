/**
 * From JSON as it travels to what JavaScript gets, and back, by schema.
 */
import { formatDuration, parseDuration } from "./duration.js";
import { Attribute, integer, map, object, string } from "./schema.js";

/** @typedef {(string | number)[]} Steps */

export const hasPrefix = (path, prefix) => prefix.length <= path.length && prefix.every((step, i) => path[i] === step);

const describe = (tree) => {
  if (tree === null) return "null";
  if (Array.isArray(tree)) return "a list";
  return { string: "a string", boolean: "true or false", number: "a number" }[typeof tree] ?? "an object";
};
const isObject = (tree) => typeof tree === "object" && tree !== null && !Array.isArray(tree);

const artifactFields = object({
  digest: string(), media_type: string({ optional: true }), uri: string({ optional: true }), size: integer({ optional: true }),
  labels: map(string(), { optional: true }), path: string({ optional: true }),
});

/** Walks a tree by schema; what is wrong is collected with its path. */
class Walker {
  /** @param {Steps[]} unknown */
  constructor(unknown = []) {
    this.unknown = unknown;
    this.at = [];
    this.diagnostics = [];
  }

  add(summary, detail) {
    this.diagnostics.push({ severity: "error", summary, detail, path: [...this.at], code: "" });
  }

  wrong(want, got) {
    this.add("Wrong type of value", `Here ${want} is needed, not ${describe(got)}.`);
    return null;
  }

  inside(step, f) {
    this.at.push(step);
    try {
      return f();
    } finally {
      this.at.pop();
    }
  }

  isUnknown() {
    return this.unknown.some((u) => hasPrefix(this.at, u));
  }

  body(body, tree, labels = []) {
    const out = Object.create(null);
    if (this.isUnknown()) tree = {};
    else if (!isObject(tree)) return this.wrong("an object", tree);
    for (const name of Object.keys(tree).sort()) {
      if (!Object.hasOwn(body, name) && !labels.includes(name)) {
        this.inside(name, () => this.add("Unsupported attribute", `There is no attribute or block named ${JSON.stringify(name)} here.`));
      }
    }
    for (const label of labels) out[label] = this.inside(label, () => this.attribute(string(), tree[label] ?? null, label));
    for (const [name, part] of Object.entries(body)) {
      const given = Object.hasOwn(tree, name) ? tree[name] : null;
      out[name] = this.inside(name, () => (part instanceof Attribute ? this.attribute(part, given, name) : this.block(part, given, name)));
    }
    return { ...out };
  }

  attribute(attribute, tree, name) {
    if (this.isUnknown()) return null;
    if (tree === null && attribute.default !== undefined) tree = attribute.default;
    if (tree === null) {
      if (attribute.required) this.add("Missing attribute", `The attribute ${JSON.stringify(name)} must be given.`);
      return null;
    }
    const value = this.value(attribute.type, tree);
    if (attribute.unique && Array.isArray(tree)) this.unique(tree);
    return value;
  }

  unique(items) {
    const seen = new Map();
    items.forEach((item, i) => this.inside(i, () => {
      const text = JSON.stringify(item);
      if (seen.has(text) && !this.isUnknown()) {
        this.add("Duplicate element", `This element is equal to the one at position ${seen.get(text) + 1}; the elements of this list must differ.`);
      } else if (!this.isUnknown()) {
        seen.set(text, i);
      }
    }));
  }

  block(block, tree, name) {
    if (this.isUnknown()) return block.many ? [] : null;
    if (!block.many) {
      if (tree === null) {
        if (block.min > 0) this.add("Missing block", `A block ${JSON.stringify(name)} must be given.`);
        return null;
      }
      return this.body(block.body, tree, block.labels);
    }
    const items = tree ?? [];
    if (!Array.isArray(items)) return this.wrong("a list of blocks", tree) ?? [];
    if (items.length < block.min || (block.max > 0 && items.length > block.max)) {
      const range = block.max === 0 ? `at least ${block.min}` : block.min === 0 ? `at most ${block.max}` : `${block.min} to ${block.max}`;
      this.add("Wrong number of blocks", `There must be ${range} of ${JSON.stringify(name)}, not ${items.length}.`);
    }
    return items.map((item, i) => this.inside(i, () => this.body(block.body, item, block.labels)));
  }

  value(type, tree) {
    if (tree === null || tree === undefined || this.isUnknown()) return null;
    switch (type.kind) {
      case "any":
        return this.anything(tree);
      case "string":
        return typeof tree === "string" ? tree : this.wrong("a string", tree);
      case "bool":
        return typeof tree === "boolean" ? tree : this.wrong("true or false", tree);
      case "number":
        return this.number(tree, "a number");
      case "integer":
        return this.integer(tree);
      case "duration":
        return this.duration(tree);
      case "artifact":
        return isObject(tree) ? this.value(artifactFields.type, tree) : this.wrong("an artifact", tree);
      case "list":
        if (!Array.isArray(tree)) return this.wrong("a list", tree);
        return tree.map((item, i) => this.inside(i, () => this.element(type.elem, item)));
      case "map":
        if (!isObject(tree)) return this.wrong("a map", tree);
        return Object.fromEntries(Object.keys(tree).sort().map((k) => [k, this.inside(k, () => this.element(type.elem, tree[k]))]));
    }
    return this.body(type.fields, tree);
  }

  element(type, tree) {
    if (tree === null && type.kind !== "any" && !this.isUnknown()) this.add("Missing value", "An element must not be null.");
    return this.value(type, tree);
  }

  number(tree, want) {
    if (typeof tree !== "number") return this.wrong(want, tree);
    if (!Number.isFinite(tree)) this.add("Number out of range", "The number is too large.");
    return tree;
  }

  integer(tree) {
    const n = this.number(tree, "an integer");
    if (n === null || !Number.isFinite(n)) return n;
    if (!Number.isInteger(n)) this.add("Number out of range", `The number ${n} is not an integer.`);
    else if (!Number.isSafeInteger(n)) this.add("Number out of range", `The integer ${n} is beyond ±(2^53−1).`);
    return n;
  }

  duration(tree) {
    if (typeof tree !== "string") return this.wrong('a duration such as "1h30m"', tree);
    const ms = parseDuration(tree);
    if (ms === null) this.add("Invalid duration", `${JSON.stringify(tree)} is not a duration: write a number and a unit, such as "90s", "1h30m" or "7d".`);
    return ms;
  }

  anything(tree) {
    if (typeof tree === "number") return this.number(tree, "a number");
    if (Array.isArray(tree)) return tree.map((item, i) => this.inside(i, () => this.anything(item)));
    if (isObject(tree)) return Object.fromEntries(Object.entries(tree).map(([k, item]) => [k, this.inside(k, () => this.anything(item))]));
    return tree;
  }
}

/** Checks values that a plugin gives, in JavaScript's form, and writes durations as text. */
class Writer extends Walker {
  constructor() {
    super();
    this.sensitive = [];
  }

  attribute(attribute, tree, name) {
    if (attribute.sensitive) this.sensitive.push([...this.at]);
    return super.attribute({ ...attribute, default: undefined }, tree ?? null, name);
  }

  duration(ms) {
    if (typeof ms !== "number" || !Number.isFinite(ms)) return this.wrong("a number of milliseconds", ms);
    return formatDuration(ms);
  }
}

/**
 * Reads a configuration. What is not known yet is null, and no diagnostic speaks of it.
 * @param {import("./schema.js").Body} body
 * @param {string} json
 * @param {Steps[]} unknown
 */
export function decode(body, json, unknown) {
  const w = new Walker(unknown);
  let tree;
  try {
    tree = JSON.parse(json);
  } catch (err) {
    w.add("Invalid value", `The configuration is not JSON: ${err.message}.`);
    return { config: null, diagnostics: w.diagnostics };
  }
  const config = w.body(body, tree);
  return { config, diagnostics: w.diagnostics };
}

/** A configuration in which nothing was given. @param {import("./schema.js").Body} body */
export const defaults = (body) => new Walker().body(body, {});

/**
 * Writes outputs. The diagnostics say where they are not what was declared.
 * @param {import("./schema.js").Body} body
 * @param {object} outputs
 */
export function encode(body, outputs) {
  const w = new Writer();
  const tree = w.body(body, outputs);
  return { json: JSON.stringify(tree), sensitive: w.sensitive, diagnostics: w.diagnostics };
}

/** What is wrong with the defaults of a body, as text. @param {import("./schema.js").Body} body */
export function wrongDefaults(body) {
  const w = new Walker();
  for (const [name, part] of Object.entries(body)) {
    if (!(part instanceof Attribute)) w.diagnostics.push(...wrongDefaults(part.body));
    else if (part.default !== undefined) w.inside(name, () => w.attribute(part, null, name));
  }
  return w.diagnostics;
}

