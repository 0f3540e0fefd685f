/**
 * The body of a block, declared as an object from names to attributes and
 * nested blocks:
 *
 *   const config = {
 *     file:    string({ doc: "Where to write." }),
 *     retries: integer({ default: 3 }),
 *     bake:    duration({ optional: true }),
 *     header:  blocks({ value: string() }, { labels: ["name"] }),
 *   };
 *
 * From it come what Describe says, validation, and decoding. An attribute must
 * be given unless it is optional or has a default; defaults are written as in the
 * file, so those of durations are strings.
 */

const attributeOptions = ["optional", "default", "sensitive", "known", "unique", "doc", "deprecated"];
const blockOptions = ["labels", "required", "min", "max", "doc"];

function onlyOptions(options, known) {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw new TypeError(`there is no option ${name}; there are ${known.join(", ")}`);
  }
}

/**
 * @typedef {object} AttributeOptions
 * @property {boolean} [optional] may be left out; it is null then
 * @property {unknown} [default] its value when left out, as written in the file
 * @property {boolean} [sensitive] must not be shown
 * @property {boolean} [known] must be known when the plan is made
 * @property {boolean} [unique] elements of the list must differ
 * @property {string} [doc]
 * @property {string} [deprecated] what to use instead
 *
 * @typedef {object} Type
 * @property {string} kind
 * @property {Type} [elem] of lists and maps
 * @property {Record<string, Attribute>} [fields] of objects
 */

/** One name = value. */
export class Attribute {
  /** @param {Type} type @param {AttributeOptions} [options] */
  constructor(type, options = {}) {
    onlyOptions(options, attributeOptions);
    this.type = type;
    this.default = options.default;
    this.required = !options.optional && options.default === undefined;
    this.sensitive = Boolean(options.sensitive);
    this.known = Boolean(options.known);
    this.unique = Boolean(options.unique);
    this.doc = options.doc ?? "";
    this.deprecated = options.deprecated ?? "";
  }
}

/** A nested block type. */
export class Block {
  constructor(body, many, options = {}) {
    onlyOptions(options, blockOptions);
    this.body = body;
    this.many = many;
    this.labels = options.labels ?? [];
    this.min = options.min ?? (options.required ? 1 : 0);
    this.max = options.max ?? 0;
    this.doc = options.doc ?? "";
  }
}

const primitive = (kind) => (options) => new Attribute({ kind }, options);

export const string = primitive("string");
/** A finite number. */
export const number = primitive("number");
/** An integer within ±(2^53−1). */
export const integer = primitive("integer");
export const bool = primitive("bool");
/** Written as "1h30m" or "7d"; a number of milliseconds in JavaScript. */
export const duration = primitive("duration");
/** Something built once: { digest, media_type, uri, size, labels, path }. */
export const artifact = primitive("artifact");
/** Whatever is given. */
export const any = primitive("any");

const typeOf = (attribute) => {
  if (!(attribute instanceof Attribute)) throw new TypeError("an element must be declared as an attribute is, such as string()");
  return attribute.type;
};

/** @param {Attribute} elem @param {AttributeOptions} [options] */
export const list = (elem, options) => new Attribute({ kind: "list", elem: typeOf(elem) }, options);
/** @param {Attribute} elem @param {AttributeOptions} [options] */
export const map = (elem, options) => new Attribute({ kind: "map", elem: typeOf(elem) }, options);
/** @param {Record<string, Attribute>} fields @param {AttributeOptions} [options] */
export const object = (fields, options) => {
  Object.values(fields).forEach(typeOf);
  return new Attribute({ kind: "object", fields }, options);
};

/** At most one block: an object, or null. @param {Body} body @param {object} [options] */
export const block = (body, options) => new Block(body, false, options);
/** Any number of blocks: a list of objects. @param {Body} body @param {object} [options] */
export const blocks = (body, options) => new Block(body, true, options);

/** @typedef {Record<string, Attribute | Block>} Body */

/** Writes a type as the protocol does: list(object({name=string})). */
export function typeText(type) {
  switch (type.kind) {
    case "list":
    case "map":
      return `${type.kind}(${typeText(type.elem)})`;
    case "object": {
      const fields = Object.entries(type.fields).map(([name, f]) => `${name}=${f.required ? typeText(f.type) : `optional(${typeText(f.type)})`}`);
      return `object({${fields.join(",")}})`;
    }
  }
  return type.kind;
}

const names = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/**
 * A body as the message runner.plugin.v1.Schema. Throws when it is not well formed.
 * @param {Body} body
 */
export function schemaMessage(body, doc = "") {
  const out = { attributes: [], blocks: [], doc };
  for (const [name, part] of Object.entries(body)) {
    if (!names.test(name)) throw new TypeError(`${JSON.stringify(name)} is not a name`);
    if (part instanceof Attribute) {
      out.attributes.push({
        name, type: typeText(part.type), required: part.required, sensitive: part.sensitive, known: part.known, unique: part.unique,
        doc: part.doc, deprecated: part.deprecated, defaultJson: part.default === undefined ? undefined : Buffer.from(JSON.stringify(part.default)),
      });
    } else if (part instanceof Block) {
      out.blocks.push({
        name, labels: part.labels, nesting: part.many ? "NESTING_LIST" : "NESTING_SINGLE", min: part.min, max: part.max, schema: schemaMessage(part.body, part.doc),
      });
    } else {
      throw new TypeError(`${name} is neither an attribute, such as string(), nor a block`);
    }
  }
  return out;
}
