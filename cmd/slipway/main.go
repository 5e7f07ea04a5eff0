// Command slipway builds Linux machines from one definition, starts them and
// proves that they work. Each verb has a short file here; the work is done by
// the packages below internal/.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	_ "slipway/internal/netboot/rehearse" // the target netboot
	"syscall"

	"slipway/internal/build"
	"slipway/internal/sandbox"
)

func main() {
	if os.Getenv("GOGC") == "" {
		// A run is short and its garbage large: an eighth less memory for
		// hardly any time.
		debug.SetGCPercent(50)
	}
	sandbox.Main() // a re-executed worker or supervisor never returns from here
	build.DelayCollector()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	env := &Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	code := Run(ctx, env, os.Args[1:])
	stop()
	os.Exit(code)
}
