package equal

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/internal/sandbox"
	"slipway/internal/tree"
)

// Mmdebstrap is a machine with mmdebstrap in it, as a folder with real owners.
type Mmdebstrap struct {
	root  string
	reach *reach
}

// reference is always made by this release's mmdebstrap.
const referenceRelease = "trixie"

// Install builds that machine below dir, which should be a file system on
// which device nodes can be made.
func Install(ctx context.Context, y *Shipyard, dir string) (*Mmdebstrap, error) {
	built, err := y.Build(ctx, Set{Name: "reference", Packages: []string{"mmdebstrap"}}, referenceRelease)
	if err != nil {
		return nil, err
	}
	m := &Mmdebstrap{root: filepath.Join(dir, "mmdebstrap")}
	if err := os.Mkdir(m.root, 0o755); err != nil {
		return nil, err
	}
	if err := tree.Materialise(ctx, m.root, built.Manifest, built.Content, tree.MaterialiseOptions{Devices: true}); err != nil {
		return nil, err
	}
	m.reach, err = hostReach()
	if err != nil {
		return nil, err
	}
	return m, m.reach.write(m.root)
}

// Run makes the reference tree of a package list in the folder dir, and reads it.
func (m *Mmdebstrap) Run(ctx context.Context, dir, release string, packages []string, date time.Time) (*Tree, time.Duration, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, 0, err
	}
	args := []string{"mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--components=main"}
	if len(packages) > 0 {
		args = append(args, "--include="+strings.Join(packages, ","))
	}
	for _, option := range m.reach.options {
		args = append(args, "--aptopt="+option)
	}
	args = append(append(args, release, "/mnt/tree"), m.reach.sources(release)...)
	var output bytes.Buffer
	result, err := sandbox.Run(ctx, sandbox.Command{
		Root: m.root, Args: args, Stdout: &output, Stderr: &output,
		Env:     []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", date.Unix()), "TMPDIR=/tmp"},
		Network: true, Resolv: "/etc/resolv.conf", Privileged: true,
		Binds:   append([]sandbox.Bind{{Source: dir, Target: "/mnt"}}, m.reach.binds...),
		Timeout: 20 * time.Minute,
	})
	if err != nil {
		return nil, 0, fmt.Errorf("%w\n%s", err, lastLines(output.String(), 30))
	}
	t, err := Load(ctx, filepath.Join(dir, "tree"))
	return t, result.Duration, err
}

// Load reads a tree from a folder, with the owners it has there.
func Load(ctx context.Context, dir string) (*Tree, error) {
	manifest, err := tree.Scan(ctx, dir, tree.ScanOptions{})
	if err != nil {
		return nil, err
	}
	return NewTree(manifest, tree.DirContent(dir, manifest))
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
