/** Durations as pipeline files write them, and as numbers of milliseconds. */

const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, µs: 1e-3, μs: 1e-3, ns: 1e-6 };
const most = Number(2n ** 63n - 1n) / 1e6;

/**
 * Reads "1h30m", "7d" or "-1.5s"; null when the text is none.
 * @param {string} text
 * @returns {number | null}
 */
export function parseDuration(text) {
  const sign = text.startsWith("-") ? -1 : 1;
  let rest = text.replace(/^[+-]/, "");
  if (rest === "0") return 0;
  if (rest === "") return null;
  let total = 0;
  for (let first = true; rest !== ""; first = false) {
    const m = /^(\d+\.?\d*|\.\d+)(d|h|ms|m|s|us|µs|μs|ns)/.exec(rest);
    if (!m || (m[2] === "d" && (!first || !/^\d+$/.test(m[1])))) return null;
    total += Number(m[1]) * units[m[2]];
    rest = rest.slice(m[0].length);
  }
  return total <= most ? sign * total : null;
}

/**
 * Writes a form that parseDuration reads back: "1h30m", "90ms".
 * @param {number} ms
 */
export function formatDuration(ms) {
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms < 1000) return ms === 0 ? "0s" : ms >= 1e-6 ? `${Number((ms).toFixed(6))}ms` : "0s";
  let out = "";
  for (const unit of ["h", "m"]) {
    const n = Math.floor(ms / units[unit]);
    if (n > 0) out += `${n}${unit}`;
    ms -= n * units[unit];
  }
  const seconds = Number((ms / 1000).toFixed(9));
  return seconds > 0 || out === "" ? `${out}${seconds}s` : out;
}
