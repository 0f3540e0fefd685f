/** What targets and strategies need besides: weights, and questions to a snapshot. */

/** All the traffic, in thousandths of a percent: the unit of every weight. */
export const FULL = 100_000;

/**
 * A weight from percent. Weights are never rounded: a share finer than a
 * thousandth of a percent is refused.
 * @param {number} share 0 to 100
 */
export function percent(share) {
  const w = Math.round(share * 1000);
  if (!(share >= 0 && share <= 100) || Math.abs(w - share * 1000) > 1e-6) throw new Error(`${share} is not a share from 0 to 100 in thousandths of a percent`);
  return w;
}

/**
 * Whether a target can have the weight exactly.
 * @param {import("./describe.js").Capabilities} capabilities
 * @param {number} weight
 */
export function allows({ weights, step = 0 }, weight) {
  if (!Number.isInteger(weight) || weight < 0 || weight > FULL) return false;
  return weight === 0 || weight === FULL || (weights === "percent" && step > 0 && weight % step === 0);
}

const answer = (answers, name) => answers.find((a) => a.name === name)?.value ?? "";

/** Where an approval stands: "", "pending", "yes" or "no". */
export const approval = (snapshot, name) => answer(snapshot.approvals, name);
/** Where a verification stands. */
export const verification = (snapshot, name) => answer(snapshot.verifications, name);
/** The step with this id, if it was entered: { id, title, at }. */
export const entered = (snapshot, id) => snapshot.steps.find((s) => s.id === id);
