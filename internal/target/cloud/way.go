package cloud

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"slipway/internal/probe"
	"slipway/internal/target/sshway"
)

// Way runs commands in a machine as root, through its ssh server.
type Way struct {
	Machine string
	Key     ssh.Signer
	HostKey ssh.PublicKey
	Dial    func(ctx context.Context) (net.Conn, error)
}

// maxOutput bounds what is kept of a command's output, in bytes.
const maxOutput = 1 << 20

// Exec runs a program and waits for its end.
func (w *Way) Exec(ctx context.Context, req probe.ExecRequest) (probe.ExecResult, error) {
	if req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.Timeout)
		defer cancel()
	}
	conn, err := w.Dial(ctx)
	if err != nil {
		return probe.ExecResult{}, err
	}
	out, errs := &capped{}, &capped{}
	client := sshway.Client{
		Machine: w.Machine, User: "root", Key: w.Key, HostKeys: []ssh.PublicKey{w.HostKey},
		Stdin: bytes.NewReader(req.Stdin), Stdout: out, Stderr: errs,
	}
	status, err := client.Run(ctx, conn, commandLine(req))
	got := probe.ExecResult{Stdout: out.Bytes(), Stderr: errs.Bytes(), Exit: status}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("running %s in %s: %w", req.Args[0], w.Machine, context.Cause(ctx))
	}
	return got, err
}

// commandLine is a request as root's shell understands it.
func commandLine(req probe.ExecRequest) string {
	var words []string
	if len(req.Env) > 0 {
		words = append(words, "env")
		for _, e := range req.Env {
			words = append(words, quote(e))
		}
	}
	for _, a := range req.Args {
		words = append(words, quote(a))
	}
	return "cd /root; exec " + strings.Join(words, " ")
}

func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// FailedError is what went wrong inside the machine when it configured itself.
type FailedError struct{ Reason string }

func (e *FailedError) Error() string { return e.Reason }

// Finished waits until cloud-init has done what the seed asks for. A
// *FailedError says what it complained of; any other error is of the way, and
// may pass: the ssh server is started anew while the machine configures itself.
func (w *Way) Finished(ctx context.Context) error {
	got, err := w.Exec(ctx, probe.ExecRequest{Args: []string{"cloud-init", "status", "--wait", "--long"}})
	switch {
	case err != nil:
		return err
	case got.Exit == 127:
		return &FailedError{"the image has no cloud-init, and so did not read its seed"}
	case got.Exit == 1:
		return &FailedError{"cloud-init failed: " + strings.TrimSpace(strings.TrimLeft(string(got.Stdout), ".\n"))}
	}
	return nil // 2: done, with complaints that it got over
}

// capped keeps the beginning of an output: a machine may write any number.
type capped struct{ bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	if room := maxOutput - c.Len(); room > 0 {
		c.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
