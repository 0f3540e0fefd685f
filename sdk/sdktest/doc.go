// Package sdktest is what the conformance suites stand on: how a plugin is
// started for a test, and what a suite needs of a test.
//
// The suites are in packages of their own, one per kind: actiontest, targettest,
// strategytest, metricstest. Authors use those and, from here, Subject.
package sdktest
