// Package analysis is the judge: pure functions from measurements to verdicts.
//
// A State is told what was measured, release by release and look by look, and
// says for two scopes whether the candidate does harm (over the whole rollout,
// never reset) and whether the present step may be passed. There are three
// verdicts: pass, fail, and not enough evidence. Verdicts are recorded as facts
// and never recomputed, so floats may be used here and nowhere else.
//
// Start with New, hand every Look to Observe, say StepBegan at each step, and
// ask Harm and Step whenever a verdict is wanted, after all looks of a moment. A
// State is small whatever comes in, and can be kept as JSON in between.
//
// # Limits
//
// What is beyond a metric's Min or Max, over the whole rollout or in the present
// step, on all targets together or on one of them, is harm.
//
// # Comparison
//
// A metric with Compare is compared with the stable release, at the same time
// and so under the same traffic: what hits both releases alike is no evidence.
// The evidence is an e-process (see internal/evidence for the papers): the
// probability that it ever reaches 1/Alpha although the candidate is not worse
// than its Tolerance is at most Alpha, however often one looks, and whenever one
// stops. Several metrics are judged by the weighted mean of their evidence, which
// keeps that promise whatever ties them together.
//
// A step is passed when it was shown, with the same certainty, that no metric is
// as bad as its margin. Too little data is neither pass nor fail.
//
// How much events may count depends on what is known of the past (Learn). Where
// bad events of the stable release came independently, each of them is evidence;
// else one Block of time is, it can multiply the evidence of harm by no more than
// four, and at equal shares by no more than two. So without a past the judge
// needs at least six minutes, at equal shares, and the absolute margin is not
// used. A cause that outlasts a block can count several times. Learn makes blocks
// longer where the past shows such causes; where it cannot, Block must say so.
//
// # Before the run
//
// Ahead says how long it will take to see a release that is twice, three times or
// ten times as bad, and which margin can be shown in the time that there is.
//
// # Data
//
// Delta turns readings of cumulative counters, in any order and with resets, into
// looks. What makes no sense, or came before, is left out, and the verdict says so.
package analysis
