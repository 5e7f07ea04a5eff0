package install

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/internal/distro/deb/debfile"
	"slipway/internal/sandbox"
	"slipway/internal/store"
)

func TestMain(m *testing.M) {
	sandbox.Register("install-record", installRecord)
	sandbox.Main()
	os.Exit(m.Run())
}

// recorded is one installation to repeat, as the worker gets it.
type recorded struct {
	Store, Tree, Sources string
	Epoch                int64
	SkipInitramfs        bool
	Answers              map[string]string
	Steps                []logStep
	Auto                 []Package
}

type logStep struct {
	Op       string
	Packages []Package
}

// TestAgainstRecord installs a real set of packages in a sandbox worker as
// dpkg's own log of another tool's run says, and leaves the tree, with shifted
// owners, for a comparison. It runs only when asked: SLIPWAY_DEBS is a folder
// of packages, SLIPWAY_REFERENCE the other tool's tree with its dpkg.log,
// SLIPWAY_TREE where the new tree goes (a new folder).
func TestAgainstRecord(t *testing.T) {
	debs, reference, tree := os.Getenv("SLIPWAY_DEBS"), os.Getenv("SLIPWAY_REFERENCE"), os.Getenv("SLIPWAY_TREE")
	if debs == "" || reference == "" || tree == "" {
		t.Skip("needs SLIPWAY_DEBS, SLIPWAY_REFERENCE and SLIPWAY_TREE")
	}
	host, err := sandbox.Detect()
	if err != nil {
		t.Skip(err)
	}
	r := recorded{Store: os.Getenv("SLIPWAY_STORE"), Tree: tree, SkipInitramfs: os.Getenv("SLIPWAY_NO_INITRAMFS") != ""}
	if r.Store == "" {
		r.Store = t.TempDir()
	}
	s, err := store.Open(r.Store, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	index := packAll(t, s, debs)
	t.Logf("packs: %.2f s", time.Since(start).Seconds())
	s.Close()
	r.Steps = readLog(t, reference+"/var/log/dpkg.log", index)
	r.Auto = recordedAuto(t, reference, index)
	if question, answer, ok := strings.Cut(os.Getenv("SLIPWAY_ANSWER"), "="); ok {
		r.Answers = map[string]string{question: answer}
	}
	r.Epoch, _ = strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if data, err := os.ReadFile(reference + "/etc/apt/sources.list"); err == nil {
		r.Sources = string(data)
	}
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if host.Root {
		if err := os.Chown(tree, int(host.UIDs.Start), int(host.GIDs.Start)); err != nil {
			t.Fatal(err)
		}
	}
	proc, err := host.StartWith(context.Background(), "install-record", r, sandbox.StartOptions{Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	for e := range proc.Events() {
		var text string
		json.Unmarshal(e, &text)
		t.Log(text)
	}
	if err := proc.Wait(); err != nil {
		t.Fatal(err)
	}
}

// installRecord is the worker.
func installRecord(ctx context.Context, w *sandbox.Worker) error {
	var r recorded
	if err := w.Args(&r); err != nil {
		return err
	}
	s, err := store.Open(r.Store, store.Options{Worker: true})
	if err != nil {
		return err
	}
	defer s.Close()
	var out bytes.Buffer
	defer func() { os.WriteFile(filepath.Join(r.Store, "script.log"), out.Bytes(), 0o644) }()
	runs, running := 0, time.Duration(0)
	opt := Options{
		Root: r.Tree, Arch: "amd64", Epoch: r.Epoch, Log: &out, SkipInitramfs: r.SkipInitramfs,
		Open: func(_ context.Context, sum string) (*store.Pack, error) { return s.OpenPack(sum) },
		Run: func(ctx context.Context, args, env []string, stdin io.Reader, out io.Writer) error {
			began := time.Now()
			_, err := sandbox.Run(ctx, sandbox.Command{Root: r.Tree, Args: args, Env: env, Stdin: stdin, Stdout: out, Stderr: out})
			runs, running = runs+1, running+time.Since(began)
			return err
		},
	}
	in, err := New(opt)
	if err != nil {
		return err
	}
	defer func() { in.Close() }()
	start := time.Now()
	lap := func(what string, err error) error {
		w.Emit(what + ": " + strconv.FormatFloat(time.Since(start).Seconds(), 'f', 2, 64) + " s")
		start = time.Now()
		return err
	}
	if err := in.Seed(SeedConfig{Sources: map[string]string{"etc/apt/sources.list": r.Sources}}); err != nil {
		return err
	}
	if err := lap("extract", in.Extract(ctx, r.Steps[0].Packages)); err != nil {
		return err
	}
	if _, err := in.Guard(); err != nil {
		return err
	}
	if err := lap("base", in.InstallBase(ctx, r.Steps[0].Packages)); err != nil {
		return err
	}
	// The rest is another layer, which knows only what the tree says.
	in.Close()
	if in, err = New(opt); err != nil {
		return err
	}
	if err := in.Preseed(ctx, r.Answers, r.Steps[len(r.Steps)-2].Packages...); err != nil {
		return err
	}
	for i, step := range r.Steps[1:] {
		switch {
		case step.Op == "unpack":
			err = lap("unpack", in.Unpack(ctx, step.Packages))
		case i == len(r.Steps)-2:
			err = lap("pending", in.ConfigurePending(ctx))
		default:
			err = lap("configure", in.Configure(ctx, step.Packages))
		}
		if err != nil {
			return err
		}
	}
	w.Emit(strconv.Itoa(runs) + " programs ran " + running.String())
	if err := in.MarkAuto(r.Auto); err != nil {
		return err
	}
	return errors.Join(in.unguard(), in.Finish())
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
			plan = append(plan, logStep{Op: "unpack"})
		case w[2] == "startup":
			plan = append(plan, logStep{Op: "configure"})
		case w[2] == "install" || w[2] == "configure" && plan[len(plan)-1].Op == "configure":
			p, ok := index[w[3]]
			if !ok {
				t.Fatalf("no package %s", w[3])
			}
			last := &plan[len(plan)-1]
			last.Packages = append(last.Packages, p)
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
