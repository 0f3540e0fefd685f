package sdk

// Serve runs the plugin until the host lets it go; it does not return. Call it
// as the only line of main. Without a host it runs the subcommand named by the
// first argument, or says what the program is.
func Serve(p Plugin) { panic("not built yet") }
