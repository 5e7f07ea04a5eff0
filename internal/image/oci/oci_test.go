package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/image"
	"slipway/internal/image/compress"
	"slipway/internal/image/imagetest"
	"slipway/internal/image/tarball"
	"slipway/internal/tree"
)

func TestConformance(t *testing.T) {
	for _, c := range []compress.Format{compress.None, compress.Gzip, compress.Zstd} {
		f := imagetest.Format{Writer: Writer{Compression: c}, Suffix: ".oci.tar", Read: readLayer(t), Judges: []imagetest.Judge{skopeo()}}
		if c == compress.Zstd { // umoci does not know it
			f.Judges = nil
		}
		t.Run("layer "+string(c), func(t *testing.T) { imagetest.Run(t, f) })
	}
}

// readLayer follows the digests from the index to the layer, checking all.
func readLayer(t *testing.T) func(string) (*tree.Manifest, tree.Content, error) {
	return func(path string) (*tree.Manifest, tree.Content, error) {
		files, err := members(path)
		if err != nil {
			return nil, nil, err
		}
		if got := string(files["oci-layout"]); got != `{"imageLayoutVersion":"1.0.0"}` {
			return nil, nil, fmt.Errorf("oci-layout is %q", got)
		}
		var ix index
		var m manifest
		var doc document
		if err := json.Unmarshal(files["index.json"], &ix); err != nil || len(ix.Manifests) != 1 {
			return nil, nil, fmt.Errorf("index.json is %q, %v", files["index.json"], err)
		}
		for _, step := range []struct {
			d  func() descriptor
			to any
		}{{func() descriptor { return ix.Manifests[0] }, &m}, {func() descriptor { return m.Config }, &doc}} {
			b, err := blob(files, step.d())
			if err == nil {
				err = json.Unmarshal(b, step.to)
			}
			if err != nil {
				return nil, nil, err
			}
		}
		b, err := blob(files, m.Layers[0])
		if err != nil {
			return nil, nil, err
		}
		z, err := compress.Reader(bytes.NewReader(b))
		if err != nil {
			return nil, nil, err
		}
		h := sha256.New()
		if _, err := io.Copy(h, z); err != nil || fmt.Sprintf("sha256:%x", h.Sum(nil)) != doc.RootFS.DiffIDs[0] {
			return nil, nil, fmt.Errorf("the layer is not what diff_ids says (%v)", err)
		}
		out := filepath.Join(t.TempDir(), "layer")
		if err := os.WriteFile(out, b, 0o600); err != nil {
			return nil, nil, err
		}
		return tarball.Read(out)
	}
}

func blob(files map[string][]byte, d descriptor) ([]byte, error) {
	b := files["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
	if int64(len(b)) != d.Size || name(sha256.Sum256(b)) != d.Digest {
		return nil, fmt.Errorf("%s: there are %d bytes that are not of this digest and size", d.Digest, len(b))
	}
	return b, nil
}

func members(path string) (map[string][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files := make(map[string][]byte)
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}

// skopeo converts to a folder, which checks all digests, and umoci unpacks it.
func skopeo() imagetest.Judge {
	return imagetest.Judge{
		Name: "skopeo and umoci",
		Available: func() string {
			for _, p := range []string{"skopeo", "umoci"} {
				if _, err := exec.LookPath(p); err != nil {
					return p + " is not installed"
				}
			}
			if os.Geteuid() != 0 {
				return "umoci makes devices only as root"
			}
			return ""
		},
		Lost: func(m *tree.Manifest) { // umoci drops empty attributes
			for i := range m.Entries {
				m.Entries[i].Xattrs = maps.Clone(m.Entries[i].Xattrs)
				maps.DeleteFunc(m.Entries[i].Xattrs, func(_, v string) bool { return v == "" })
			}
		},
		Extract: func(image, dir string) error {
			script := `skopeo --insecure-policy copy -q oci-archive:"$1" oci:"$2.oci:x" && umoci raw unpack --image "$2.oci:x" "$2.root" >&2 && cp -a "$2.root/." "$2"`
			defer os.RemoveAll(dir + ".oci")
			defer os.RemoveAll(dir + ".root")
			if out, err := exec.Command("sh", "-ec", script, "sh", image, dir).CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		},
	}
}

func TestDocuments(t *testing.T) {
	tr := imagetest.Trees()[3]
	var b bytes.Buffer
	w := Writer{Compression: compress.Gzip, Config: Config{Architecture: "armhf", Entrypoint: []string{"/app"}, Cmd: []string{"-v"},
		Env: []string{"PATH=/bin"}, Labels: map[string]string{"b": "2", "a": "1"}, Ref: "web:1", WorkingDir: "/srv", User: "1000"}}
	if err := w.Write(context.Background(), &b, tr.Manifest, tr.Content, image.Options{Epoch: 86400}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := members(path)
	if err != nil {
		t.Fatal(err)
	}
	var ix index
	var m manifest
	if err := json.Unmarshal(files["index.json"], &ix); err != nil {
		t.Fatal(err)
	}
	if d := ix.Manifests[0]; d.Annotations["org.opencontainers.image.ref.name"] != "web:1" ||
		*d.Platform != (platform{"arm", "linux", "v7"}) {
		t.Errorf("index: %s", files["index.json"])
	}
	mb, _ := blob(files, ix.Manifests[0])
	if err := json.Unmarshal(mb, &m); err != nil {
		t.Fatal(err)
	}
	config, _ := blob(files, m.Config)
	got := string(config)
	diff := got[strings.Index(got, "sha256:"):][:7+64]
	want := `{"created":"1970-01-02T00:00:00Z","architecture":"arm","os":"linux","variant":"v7",` +
		`"config":{"User":"1000","Env":["PATH=/bin"],"Entrypoint":["/app"],"Cmd":["-v"],"WorkingDir":"/srv","Labels":{"a":"1","b":"2"}},` +
		`"rootfs":{"type":"layers","diff_ids":["` + diff + `"]},"history":[{"created":"1970-01-02T00:00:00Z","created_by":"slipway"}]}`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("config: (-want +got)\n%s", d)
	}
}

func TestDefaults(t *testing.T) {
	b, err := Config{}.document(tree.Digest{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"architecture":"amd64"`, `"Entrypoint":["/sbin/init"]`, `"StopSignal":"SIGRTMIN+3"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
	if strings.Contains(string(b), "created\"") {
		t.Errorf("a time without an epoch: %s", b)
	}
}

func TestRefusesXZ(t *testing.T) {
	tr := imagetest.Trees()[3]
	if err := (Writer{Compression: compress.XZ}).Write(context.Background(), io.Discard, tr.Manifest, tr.Content, image.Options{}); err == nil {
		t.Error("a layer in xz is no error")
	}
}
