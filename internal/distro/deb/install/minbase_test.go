package install

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/internal/distro/deb/debfile"
	"slipway/internal/store"
)

// TestAgainstRecord installs a real base set as dpkg's own log of another
// tool's run says, and leaves the tree for a comparison. It runs only when
// asked: SLIPWAY_DEBS is a folder of packages, SLIPWAY_DPKG_LOG the log of the
// reference, SLIPWAY_TREE where the tree goes; it needs root.
func TestAgainstRecord(t *testing.T) {
	debs, log, tree := os.Getenv("SLIPWAY_DEBS"), os.Getenv("SLIPWAY_DPKG_LOG"), os.Getenv("SLIPWAY_TREE")
	if debs == "" || log == "" || tree == "" || os.Getuid() != 0 {
		t.Skip("needs root, SLIPWAY_DEBS, SLIPWAY_DPKG_LOG and SLIPWAY_TREE")
	}
	dir := os.Getenv("SLIPWAY_STORE")
	if dir == "" {
		dir = t.TempDir()
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	lap := func(what string) {
		t.Logf("%-12s %.2f s", what, time.Since(start).Seconds())
		start = time.Now()
	}
	index := packAll(t, s, debs)
	lap("packs")
	plan := readLog(t, log, index)
	if err := os.MkdirAll(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	epoch, _ := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	var out bytes.Buffer
	in, err := New(Options{
		Root: tree, Arch: "amd64", Epoch: epoch, Run: chrootRun(tree), Log: &out,
		Open: func(_ context.Context, sum string) (*store.Pack, error) { return s.OpenPack(sum) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	try := func(err error) {
		t.Helper()
		if err != nil {
			os.WriteFile(tree+".log", out.Bytes(), 0o644)
			t.Fatal(err)
		}
	}
	try(in.Seed(SeedConfig{Sources: map[string]string{"etc/apt/sources.list": "deb http://ftp.debian.org/debian " + os.Getenv("SLIPWAY_SUITE") + " main\n"}}))
	try(in.Extract(ctx, plan[0].packages))
	lap("extract")
	release, err := in.Guard()
	try(err)
	try(in.InstallBase(ctx, plan[0].packages))
	lap("base")
	for i, step := range plan[1:] {
		switch {
		case step.op == "unpack":
			try(in.Unpack(ctx, step.packages))
		case i == len(plan)-2:
			try(in.ConfigurePending(ctx))
		default:
			try(in.Configure(ctx, step.packages))
		}
	}
	lap("rest")
	try(in.MarkAuto(recordedAuto(t, os.Getenv("SLIPWAY_REFERENCE"), index)))
	try(release())
	try(in.Finish())
	os.WriteFile(tree+".log", out.Bytes(), 0o644)
}

// recordedAuto reads which packages the reference marked as automatic.
func recordedAuto(t *testing.T, tree string, index map[string]Package) (auto []Package) {
	data, err := os.ReadFile(tree + "/var/lib/apt/extended_states")
	if err != nil {
		t.Log(err)
		return nil
	}
	for _, line := range strings.Split(string(data), "\n") {
		if name, ok := strings.CutPrefix(line, "Package: "); ok {
			p, ok := index[name+":amd64"]
			if !ok {
				p = index[name+":all"]
			}
			auto = append([]Package{p}, auto...)
		}
	}
	return auto
}

type logStep struct {
	op       string
	packages []Package
}

// readLog turns a dpkg.log into the calls that were made.
func readLog(t *testing.T, name string, index map[string]Package) []logStep {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var plan []logStep
	for sc := bufio.NewScanner(f); sc.Scan(); {
		w := strings.Fields(sc.Text())
		switch {
		case w[2] == "startup" && w[3] == "archives":
			plan = append(plan, logStep{op: "unpack"})
		case w[2] == "startup":
			plan = append(plan, logStep{op: "configure"})
		case w[2] == "install" || w[2] == "configure" && plan[len(plan)-1].op == "configure":
			p, ok := index[w[3]]
			if !ok {
				t.Fatalf("no package %s", w[3])
			}
			last := &plan[len(plan)-1]
			last.packages = append(last.packages, p)
		}
	}
	return plan
}

func packAll(t *testing.T, s *store.Store, dir string) map[string]Package {
	names, _ := filepath.Glob(dir + "/*.deb")
	index := map[string]Package{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		digest := hex.EncodeToString(sum[:])
		p, err := debfile.Control(name)
		if err != nil {
			t.Fatal(err)
		}
		if !s.HasPack(digest) {
			if err := debfile.ToPack(context.Background(), s, name, digest, debfile.WantOf(p)); err != nil {
				t.Fatal(err)
			}
		}
		index[p.Name+":"+p.Architecture] = Package{p.Name, p.Version, p.Architecture, digest}
	}
	return index
}

// chrootRun runs programs in a chroot with proc, sys and dev, in namespaces
// that end with the program.
func chrootRun(root string) RunFunc {
	const setup = `mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"`
	return func(ctx context.Context, args, env []string, stdin io.Reader, out io.Writer) error {
		cmd := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "--pid", "--fork", "--kill-child", "sh", "-c", setup, root}, args...)...)
		cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, stdin, out, out
		return cmd.Run()
	}
}
