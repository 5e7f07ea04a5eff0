// Command gen builds cmd/guest for every architecture and writes it,
// compressed, into the present folder or the one that it is given. Run it with
// `go generate ./internal/guest`.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

var architectures = []string{"amd64", "arm64"}

func main() {
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := run(dir); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run writes guest_ARCH.zst into dir.
func run(dir string) error {
	for _, arch := range architectures {
		program, err := build(arch)
		if err != nil {
			return err
		}
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "guest_"+arch+".zst"), enc.EncodeAll(program, nil), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// smaller are packages whose functions are not inlined: that takes 60 KB off the
// helper, and none of them is where its time goes.
var smaller = []string{"encoding/...", "fmt", "golang.org/x/sys/unix", "os", "reflect", "slices", "slipway/cmd/...", "slipway/internal/bootfiles/...", "slipway/internal/guest/...", "time"}

// build compiles the helper so that the bytes depend on nothing but the source
// and the toolchain.
func build(arch string) ([]byte, error) {
	tmp, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "guest")
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out}
	for _, pkg := range smaller {
		args = append(args, "-gcflags="+pkg+"=-l")
	}
	cmd := exec.Command("go", append(args, "slipway/cmd/guest")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("building cmd/guest for %s: %w", arch, err)
	}
	return os.ReadFile(out)
}
