import assert from "node:assert/strict";
import test from "node:test";

import { decode, encode } from "../src/decode.js";
import { Description } from "../src/describe.js";
import { formatDuration, parseDuration } from "../src/duration.js";
import { any, artifact, block, blocks, bool, duration, integer, list, map, number, object, schemaMessage, string } from "../src/schema.js";
import { allows, percent } from "../src/weights.js";

const body = {
  name: string({ default: "world" }),
  steps: list(number(), { optional: true }),
  bake: duration({ optional: true }),
  labels: map(string(), { optional: true }),
  limit: integer({ optional: true }),
  shape: object({ sides: integer(), round: bool({ optional: true }) }, { optional: true }),
  tags: list(string(), { optional: true, unique: true }),
  from: artifact({ optional: true }),
  free: any({ optional: true }),
  inner: block({ deep: string({ default: "x" }) }),
  header: blocks({ value: string() }, { labels: ["name"], max: 2 }),
};

test("what is given is decoded, what is not has its default", () => {
  const { config, diagnostics } = decode(body, JSON.stringify({
    steps: [5, 100], bake: "1h30m", labels: { "a.b": "c", __proto__x: "d" }, limit: 3, shape: { sides: 3 }, from: { digest: "sha256:00" }, free: [1, { a: null }],
    inner: {}, header: [{ name: "h", value: "v" }],
  }), []);
  assert.deepEqual(diagnostics, []);
  assert.deepEqual(config, {
    name: "world", steps: [5, 100], bake: 5_400_000, labels: { "a.b": "c", __proto__x: "d" }, limit: 3, shape: { sides: 3, round: null }, tags: null,
    from: { digest: "sha256:00", media_type: null, uri: null, size: null, labels: null, path: null }, free: [1, { a: null }],
    inner: { deep: "x" }, header: [{ name: "h", value: "v" }],
  });
});

test("what is wrong is blamed on its place", () => {
  for (const [json, at] of [
    ['{"name": 1}', ["name"]], ['{"steps": [1, "2"]}', ["steps", 1]], ['{"steps": [null]}', ["steps", 0]], ['{"steps": [1e400]}', ["steps", 0]],
    ['{"bake": "soon"}', ["bake"]], ['{"labels": {"a.b": 1}}', ["labels", "a.b"]], ['{"labels": []}', ["labels"]],
    ['{"limit": 1.5}', ["limit"]], ['{"limit": 9007199254740992}', ["limit"]], ['{"limit": 9007199254740993}', ["limit"]],
    ['{"shape": {}}', ["shape", "sides"]], ['{"shape": {"sides": 1, "colour": 2}}', ["shape", "colour"]], ['{"tags": ["a", "b", "a"]}', ["tags", 2]],
    ['{"from": {"digest": "x", "size": "large"}}', ["from", "size"]], ['{"from": "x"}', ["from"]], ['{"free": {"a": [1e400]}}', ["free", "a", 0]],
    ['{"inner": []}', ["inner"]], ['{"header": [{"value": "v"}]}', ["header", 0, "name"]], ['{"header": [{"name": "a", "value": "v"}, {"name": "b"}]}', ["header", 1, "value"]],
    ['{"header": {}}', ["header"]], ['{"header": [1,2,3]}', ["header"]], ['{"constructor": 1}', ["constructor"]], ["[]", []], ["nonsense", []],
  ]) {
    const { diagnostics } = decode(body, json, []);
    assert.deepEqual(diagnostics[0]?.path, at, json);
    assert.match(diagnostics[0].detail, /\.$/);
  }
  assert.equal(decode({ name: string() }, "{}", []).diagnostics[0].summary, "Missing attribute");
  assert.equal(decode({ inner: block({}, { required: true }) }, "{}", []).diagnostics[0].summary, "Missing block");
  assert.equal(decode({ inner: blocks({}, { min: 1 }) }, "{}", []).diagnostics[0].summary, "Wrong number of blocks");
});

test("what is unknown is null and not blamed", () => {
  const must = { a: string(), l: list(string()), b: blocks({ c: string() }, { min: 1 }) };
  assert.deepEqual(decode(must, '{"a": null, "l": null, "b": null}', [["a"], ["l"], ["b"]]), { config: { a: null, l: null, b: [] }, diagnostics: [] });
  assert.deepEqual(decode(must, '{"a": "x", "l": [null, "y"], "b": [{"c": null}]}', [["l", 0], ["b", 0, "c"]]), { config: { a: "x", l: [null, "y"], b: [{ c: null }] }, diagnostics: [] });
  assert.deepEqual(decode(must, "null", [[]]), { config: { a: null, l: null, b: [] }, diagnostics: [] });
});

test("outputs are written as declared, or blamed", () => {
  const outputs = { text: string({ sensitive: true }), took: duration(), deep: object({ n: integer() }, { optional: true }) };
  const { json, sensitive, diagnostics } = encode(outputs, { text: "x", took: 90_500 });
  assert.deepEqual([JSON.parse(json), sensitive, diagnostics], [{ text: "x", took: "1m30.5s", deep: null }, [["text"]], []]);
  for (const [given, at] of [[{ took: 1 }, ["text"]], [{ text: "x", took: "1m" }, ["took"]], [{ text: "x", took: 1, more: 1 }, ["more"]], [{ text: "x", took: 1, deep: { n: 0.5 } }, ["deep", "n"]]]) {
    assert.deepEqual(encode(outputs, given).diagnostics[0]?.path, at);
  }
});

test("durations are read as the core reads them", () => {
  for (const [text, ms] of [
    ["0", 0], ["0s", 0], ["1h30m", 5_400_000], ["7d", 604_800_000], ["1d12h", 129_600_000], ["-1.5s", -1500], ["-1d", -86_400_000], ["250ms", 250], [".5s", 500], ["1.s", 1000], ["10us", 0.01],
    ["", null], ["5", null], ["1x", null], ["1h2d", null], ["1.5d", null], ["d", null], ["1d-1h", null], ["--1s", null], ["1 h", null], ["106752d", null],
  ]) assert.equal(parseDuration(text), ms, text);
  for (const ms of [0, 1, 250, 999.5, 1000, 90_500, 3_600_000, 5_400_000, 86_399_999, -1500]) assert.equal(parseDuration(formatDuration(ms)), ms, formatDuration(ms));
});

test("a schema says what was declared", () => {
  const message = schemaMessage(body);
  assert.equal(message.attributes.find((a) => a.name === "shape").type, "object({sides=integer,round=optional(bool)})");
  assert.equal(message.attributes[0].defaultJson.toString(), '"world"');
  assert.deepEqual(message.blocks.map((b) => [b.name, b.nesting, b.labels, b.max]), [["inner", "NESTING_SINGLE", [], 0], ["header", "NESTING_LIST", ["name"], 2]]);
  assert.throws(() => string({ requierd: true }), /no option requierd/);
  assert.throws(() => list("string"), /declared as an attribute/);
});

test("a plugin that is not well formed is told all its mistakes", () => {
  const good = { run() {} };
  for (const [plugin, ...says] of [
    [{ name: "X", version: "1" }, "must be lower case", "must be semantic"],
    [{ actions: { a: { ...good, validte() {} } } }, "no part named validte"],
    [{ actions: { "A-b": {} } }, "lower case letters", "a function run is needed"],
    [{ actions: { a: { ...good, config: { n: integer({ default: "x" }) } } } }, "the default of n"],
    [{ actions: { a: { ...good, config: { "1x": string() } } } }, "is not a name"],
    [{ actions: { a: { ...good, config: { x: "string" } } } }, "neither an attribute"],
    [{ actions: { a: good }, metrics: { a: { measure() {} } } }, "already belongs to a component of kind action"],
    [{ strategies: { s: { next() {}, needs: () => ({ weights: "some" }) } } }, "must be one of none, switch, percent"],
    [{ targets: { t: { capabilities: () => ({ weights: "percent" }), observe() {}, install() {}, setWeight() {}, settle() {}, retire() {} } } }, "a step from 1 to 100000"],
    [{ maxParallel: -1, colour: "red" }, "maxParallel", "no part named colour"],
  ]) {
    const { mistakes } = new Description({ name: "x", version: "0.1.0", ...plugin });
    for (const text of says) assert.ok(mistakes.some((m) => m.includes(text)), `${text} is not in ${JSON.stringify(mistakes)}`);
    assert.equal(mistakes.length, says.length, JSON.stringify(mistakes));
  }
});

test("weights are never rounded", () => {
  assert.equal(percent(12.345), 12_345);
  for (const share of [-1, 101, 0.0001, NaN]) assert.throws(() => percent(share), /share/);
  const thirds = { weights: "percent", step: 33_333 };
  assert.deepEqual([0, 33_333, 50_000, 100_000, 0.5, -1].map((w) => allows(thirds, w)), [true, true, false, true, false, false]);
  assert.equal(allows({ weights: "switch" }, 50_000), false);
});
