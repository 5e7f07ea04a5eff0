package netplay

// serveChild serves a world in a process of its own.
func serveChild(string) int { return 1 }
