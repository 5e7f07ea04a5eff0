package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Exit statuses; docs/design.md, section 4.
const (
	exitFailed      = 1   // it failed
	exitUsage       = 2   // wrong usage
	exitProbe       = 3   // a probe failed
	exitOwn         = 125 // shell, ssh and with: slipway's own failure
	exitInterrupted = 130 // Ctrl-C
)

// statusError ends the program with a status of its own. A nil cause prints nothing.
type statusError struct {
	status int
	cause  error
}

func (e *statusError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.cause.Error()
}

func (e *statusError) Unwrap() error { return e.cause }

func usageError(format string, args ...any) error {
	return &statusError{exitUsage, fmt.Errorf(format, args...)}
}

// ownFailure marks errors of shell, ssh and with that are slipway's own.
func ownFailure(err error) error {
	var status *statusError
	if err == nil || errors.As(err, &status) {
		return err
	}
	return &statusError{exitOwn, err}
}

// report prints an error for a person and returns the exit status.
func report(ctx context.Context, w io.Writer, err error) int {
	var status *statusError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		if status.cause != nil {
			fmt.Fprintf(w, "slipway: %v\n", err)
		}
		return status.status
	case ctx.Err() != nil:
		fmt.Fprintln(w, "slipway: interrupted")
		return exitInterrupted
	}
	fmt.Fprintf(w, "slipway: %v\n", err)
	return exitFailed
}
