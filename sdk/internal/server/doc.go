// Package server serves the components of one plugin over gRPC: one file per
// kind. sdk.Serve builds a Server from the author's literal; nobody else needs
// it.
package server
