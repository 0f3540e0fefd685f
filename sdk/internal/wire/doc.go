// Package wire converts between the public types and the generated ones, in
// both directions. Both ends of the connection use it and nobody else sees it.
//
// Functions called XToPB write, functions called XFromPB read what somebody
// else wrote: they take nil everywhere, and where a value may be one that this
// side does not know, they return an error.
package wire
