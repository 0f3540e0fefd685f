package control

// Supported tells whether services can be kept on this system.
const Supported = false
