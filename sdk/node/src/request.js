/**
 * What a component's function is told besides its configuration, and where it
 * tells what happens meanwhile.
 */
import { text, timeTo } from "./wire.js";

const levels = ["debug", "info", "warn", "error"];

/** Writes a line for the host to the process's own log. */
function logToHost(level, message, attributes) {
  const fields = { "@timestamp": new Date().toISOString(), "@level": level, "@message": text(message) };
  for (const [k, v] of Object.entries(attributes)) fields[k] = text(v);
  process.stderr.write(`${JSON.stringify(fields)}\n`);
}

/** @typedef {Record<"debug" | "info" | "warn" | "error", (message: string, attributes?: object) => void>} Log */

/** A log of which every line goes to write. @returns {Log} */
const logOf = (write) => Object.fromEntries(levels.map((level) => [level, (message, attributes = {}) => write(level, message, attributes)]));

/** The process's own log; of a call it is req.log that is wanted. */
export const processLog = logOf(logToHost);

/** The events of one streamed call. After the outcome it is silent. */
export class Events {
  constructor(stream) {
    this.stream = stream;
    this.closed = false;
  }

  /** Resolves when the host may be given more. */
  put(event) {
    if (this.closed || this.stream.destroyed || this.stream.cancelled) return Promise.resolve();
    if (this.stream.write({ event })) return Promise.resolve();
    return new Promise((resolve) => {
      this.stream.once("drain", resolve);
      this.stream.once("close", resolve);
    });
  }

  end(outcome) {
    this.put({ outcome });
    this.closed = true;
    this.stream.end();
  }

  log(level, message, attributes, stream = "") {
    const attrs = Object.fromEntries(Object.entries(attributes).map(([k, v]) => [text(k), text(v)]));
    return this.put({ log: { time: timeTo(new Date()), level: `LOG_LEVEL_${level.toUpperCase()}`, message: text(message), attributes: attrs, stream } });
  }
}

/**
 * What every function is told. Functions of one kind are told more: see describe.js.
 */
export class Request {
  /**
   * @param {object} call who asks
   * @param {AbortSignal} signal ends when the call must stop
   * @param {(string | number)[][]} unknown
   * @param {Events} [events] of a streamed call
   */
  constructor(call, signal, unknown, events) {
    /** The idempotency key: a UUID, equal over retries of the same operation. */
    this.key = call.key;
    this.run = call.run;
    this.pipeline = call.pipeline;
    /** The stage's address. */
    this.node = call.node;
    this.environment = call.environment;
    /** Label of the target inside the stage; empty for actions. */
    this.target = call.target;
    /** Counts from 1. */
    this.attempt = call.attempt;
    /** When the host gives up; null when it waits without limit. */
    this.deadline = call.deadline;
    this.traceparent = call.traceparent;
    this.tracestate = call.tracestate;
    this.signal = signal;
    /** Places of the configuration that are not known yet; empty for what acts. */
    this.unknown = unknown;
    this.events = events;
    /** @type {Log} */
    this.log = events ? logOf((...line) => void events.log(...line)) : processLog;
  }

  /** Whether the value at the place, or a part of it, is not known yet. */
  isUnknown(...steps) {
    return this.unknown.some((u) => u.every((s, i) => i >= steps.length || s === steps[i]));
  }

  /** How far it is: 0 to 100, or negative when it cannot be told. */
  progress(percent, message = "") {
    void this.events?.put({ progress: { percent: Math.min(100, Math.max(-1, Math.trunc(percent))), message: text(message) } });
  }

  /** One line that a program wrote; resolves when there is room for more. @param {"stdout" | "stderr"} from */
  async output(from, line) {
    await this.events?.log("info", line, {}, from);
  }

  /** An early handle, before the operation is waited for: given back to reconcile when the result is lost. */
  async sendHandle(id, opaque) {
    await this.events?.put({ handle: { id: text(id), opaque: Buffer.from(opaque ?? "") } });
  }
}
