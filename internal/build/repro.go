package build

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"slipway/internal/plan"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// Reproduction is what two builds of one definition under shuffled conditions showed.
type Reproduction struct {
	Equal      bool              `json:"equal"`
	Tree       string            `json:"tree"` // digest of the tree when equal
	Layer      string            `json:"layer,omitempty"`
	First      *tree.Difference  `json:"first,omitempty"`
	Package    string            `json:"package,omitempty"` // that owns the first differing file
	Script     string            `json:"script,omitempty"`  // that may have written it
	Count      int               `json:"count"`             // differing entries of that layer
	Conditions [2][]string       `json:"conditions"`
	Others     []tree.Difference `json:"others,omitempty"` // up to 20 more
}

// condition is one way to run a build.
type condition struct {
	words []string
	env   []string
	umask int
	cpus  string
	dir   string
}

// conditions differ in all that a careless build lets in.
var conditions = [2]condition{
	{words: []string{"umask 022", "LANG=C", "TZ=UTC", "all processors", "the folder of the definition"},
		env: []string{"LANG=C", "TZ=UTC", "HOME=/nonexistent"}, umask: 0o022},
	{words: []string{"umask 077", "LANG=tr_TR.UTF-8", "TZ=Pacific/Apia", "one processor", "the folder /"},
		env: []string{"LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "TZ=Pacific/Apia", "HOME=/tmp"}, umask: 0o077, cpus: "1", dir: "/"},
}

// Repro builds a prepared machine twice, each time into a fresh store below
// workDir that begins with the packages only, and compares layer by layer.
func (b *Builder) Repro(ctx context.Context, p *Prepared, workDir string, extra []string) (*Reproduction, error) {
	lock := filepath.Join(workDir, "repro.lock")
	if err := plan.WriteLock(lock, p.Lock); err != nil {
		return nil, err
	}
	stores := [2]*store.Store{}
	out := &Reproduction{}
	for i, c := range conditions {
		out.Conditions[i] = c.words
		dir := filepath.Join(workDir, fmt.Sprintf("store%d", i+1))
		if err := b.lendPackages(p, dir); err != nil {
			return nil, err
		}
		step := b.Progress.Step(fmt.Sprintf("build %d of 2: %s", i+1, strings.Join(c.words, ", ")))
		err := c.build(ctx, p, dir, lock, extra)
		step.Done(err)
		if err != nil {
			return nil, fmt.Errorf("build %d of 2: %w", i+1, err)
		}
		s, err := store.Open(dir, store.Options{})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		stores[i] = s
	}
	return out, out.compare(p, stores)
}

// lendPackages gives a fresh store the fetched packages, so that the network
// is asked once only; everything else is made anew.
func (b *Builder) lendPackages(p *Prepared, dir string) error {
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	for _, pkg := range p.Packages() {
		f, err := os.Open(b.Store.ObjectPath("deb", pkg.SHA256))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		err = s.ImportObject("deb", pkg.SHA256, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// build runs slipway itself under the condition.
func (c condition) build(ctx context.Context, p *Prepared, dir, lock string, extra []string) error {
	args := []string{"build", p.Definition.File, "--store", dir, "--for", string(p.Class), "--lock", lock, "--locked", "-q"}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append(args, extra...)...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"}, c.env...)
	if c.cpus != "" {
		cmd.Env = append(cmd.Env, "GOMAXPROCS="+c.cpus)
	}
	cmd.Dir = c.dir
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &output
	old := syscall.Umask(c.umask)
	err := cmd.Start()
	syscall.Umask(old)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// compare looks at the layers from the lowest up: the first that differs is
// where the cause is.
func (r *Reproduction) compare(p *Prepared, stores [2]*store.Store) error {
	for _, l := range p.Layers {
		var m [2]*tree.Manifest
		for i, s := range stores {
			layer, err := s.Layer(l.Key)
			if err != nil {
				return fmt.Errorf("opening the %s layer of build %d: %w", l.Kind, i+1, err)
			}
			if m[i], err = layer.Manifest(); err != nil {
				return err
			}
		}
		differences := tree.Compare(m[0], m[1])
		r.Tree = m[0].Digest().String()
		if len(differences) == 0 {
			continue
		}
		r.Layer, r.First, r.Count = l.Kind, &differences[0], len(differences)
		r.Others = differences[1:min(len(differences), 21)]
		r.blame(stores[0], l)
		return nil
	}
	r.Equal = true
	return nil
}

// blame names the package whose file list holds the path, and the script that
// runs for it.
func (r *Reproduction) blame(s *store.Store, l Layer) {
	layer, err := s.Layer(l.Key)
	if err != nil {
		return
	}
	m, err := layer.Manifest()
	if err != nil {
		return
	}
	want := []byte("\n/" + r.First.Path + "\n")
	for _, e := range m.Entries {
		name, ok := strings.CutPrefix(e.Path, "var/lib/dpkg/info/")
		if !ok || !strings.HasSuffix(name, ".list") {
			continue
		}
		content, err := layer.Content().Open(e.Digest)
		if err != nil {
			continue
		}
		data, err := io.ReadAll(content)
		content.Close()
		if err == nil && bytes.Contains(data, want) {
			r.Package = strings.TrimSuffix(name, ".list")
			break
		}
	}
	if r.Package != "" {
		if m.Lookup("var/lib/dpkg/info/"+r.Package+".postinst") != nil {
			r.Script = r.Package + ".postinst"
		}
	}
}
