package host

// Certificate is the host's end of mTLS.
type Certificate struct{}
