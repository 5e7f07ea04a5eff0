// Empty: its presence lets enter.go declare functions without bodies, which
// go:linkname binds to the runtime's.
