package host

// socketBase is the usual directory: plugins listen on loopback here.
func socketBase() string { return "" }
