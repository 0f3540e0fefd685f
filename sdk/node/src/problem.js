/**
 * How a plugin speaks to the author of the pipeline file: an attribute is
 * blamed, and runner adds file, line and column.
 */

/**
 * A path leads into a configuration: a name, or a list of names and indexes
 * such as ["steps", 2].
 * @typedef {string | (string | number)[]} Path
 *
 * @typedef {object} Diagnostic
 * @property {"error" | "warning"} severity
 * @property {string} summary class of problem, without names that the user chose, without a full stop
 * @property {string} detail what, why it matters, what to do, in sentences
 * @property {(string | number)[]} path attribute at fault; empty when it is the component as a whole
 * @property {string} code stable name of a page of the documentation; may be empty
 */

const retries = ["never", "safe", "later"];
const effects = ["unknown", "none", "done"];

/**
 * An error that carries diagnostics and what runner may do next.
 */
export class Problem extends Error {
  /**
   * @param {string} summary
   * @param {string} detail
   * @param {object} [options]
   * @param {Path} [options.at] attribute at fault
   * @param {string} [options.code]
   * @param {"never" | "safe" | "later"} [options.retry] whether another try can help; never by default
   * @param {number} [options.after] milliseconds to wait before another try, with retry "later"
   * @param {"unknown" | "none" | "done"} [options.effect] whether the failed call changed the world; unknown by default
   */
  constructor(summary, detail, { at = [], code = "", retry = "never", after = 0, effect = "unknown" } = {}) {
    super(`${summary}: ${detail}`);
    this.name = "Problem";
    if (!retries.includes(retry)) throw new TypeError(`retry is ${retry}; it must be one of ${retries.join(", ")}`);
    if (!effects.includes(effect)) throw new TypeError(`effect is ${effect}; it must be one of ${effects.join(", ")}`);
    /** @type {Diagnostic[]} */
    this.diagnostics = [{ severity: "error", summary, detail, path: path(at), code }];
    this.retry = retry;
    this.after = after;
    this.effect = effect;
  }

  /**
   * One problem of several diagnostics.
   * @param {Diagnostic[]} diagnostics at least one
   * @param {object} [options] as for the constructor
   */
  static of(diagnostics, options) {
    const first = diagnostics.find((d) => d.severity === "error") ?? diagnostics[0];
    const p = new Problem(first.summary, first.detail, options);
    p.diagnostics = diagnostics;
    return p;
  }
}

/** @param {Path} at */
export const path = (at) => (Array.isArray(at) ? at : [at]);

/** What a component's validate function says about a configuration. */
export class Report {
  constructor() {
    /** @type {Diagnostic[]} */
    this.diagnostics = [];
  }

  /** @param {Path} at @param {string} summary @param {string} detail */
  error(at, summary, detail) {
    this.diagnostics.push({ severity: "error", summary, detail, path: path(at), code: "" });
  }

  /** Told, and stops nothing. @param {Path} at @param {string} summary @param {string} detail */
  warn(at, summary, detail) {
    this.diagnostics.push({ severity: "warning", summary, detail, path: path(at), code: "" });
  }
}

/** A mistake of the plugin's author, found while a call is under way. */
export const mistake = (summary, detail, options) => new Problem(summary, `${detail} This is a mistake in the plugin.`, options);

/** The gRPC error for a call that the host should never have made. */
export class Refusal extends Error {
  /** @param {number} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const programming = [TypeError, ReferenceError, RangeError, SyntaxError, EvalError];

/**
 * Reads whatever was thrown as a Problem.
 * @param {unknown} err
 * @param {string} operation
 * @param {AbortSignal} [signal]
 */
export function problemOf(err, operation, signal) {
  if (err instanceof Problem) return err;
  const text = err instanceof Error ? err.message : String(err);
  if (signal?.aborted) return new Problem("Operation cancelled", `It was told to stop before it was done: ${text}.`);
  if (programming.some((c) => err instanceof c)) {
    return mistake("Plugin crashed", `${operation} threw ${err}; the plugin's log has the place.`, { code: "plugin_panic" });
  }
  return new Problem("Operation failed", text);
}

export const hasErrors = (diagnostics) => diagnostics.some((d) => d.severity !== "warning");
