package ubuntu

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"slipway/internal/distro/deb/debfile/debtest"
	"slipway/internal/xz"
)

// repacked is a package as Ubuntu would have built it: members of zstd.
type repacked struct {
	data    []byte
	control string
}

// repack takes Debian's package apart. replace gives other contents to files
// of it, by their names in the archive.
func repack(deb []byte, replace map[string]string) (repacked, error) {
	var out repacked
	members := []debtest.Member{{Name: "debian-binary", Data: []byte("2.0\n")}}
	for rest := bytes.TrimPrefix(deb, []byte("!<arch>\n")); len(rest) >= 60; {
		name := strings.TrimRight(string(rest[:16]), " /")
		size, err := strconv.Atoi(strings.TrimSpace(string(rest[48:58])))
		if err != nil || size < 0 || 60+size > len(rest) {
			return out, fmt.Errorf("the member %q has no size", name)
		}
		body := rest[60 : 60+size]
		rest = rest[min(60+size+size%2, len(rest)):]
		kind, _, _ := strings.Cut(name, ".")
		if kind != "control" && kind != "data" {
			continue
		}
		plain, err := unpack(name, body)
		if err != nil {
			return out, fmt.Errorf("%s: %w", name, err)
		}
		if kind == "control" {
			if out.control, err = controlOf(plain); err != nil {
				return out, err
			}
		} else if len(replace) > 0 {
			if plain, err = replaced(plain, replace); err != nil {
				return out, err
			}
		}
		members = append(members, debtest.Member{Name: kind + ".tar.zst", Data: compress(plain)})
	}
	if len(members) != 3 || out.control == "" {
		return out, errors.New("it lacks a member")
	}
	out.data = debtest.Ar(members...)
	return out, nil
}

func unpack(name string, body []byte) ([]byte, error) {
	switch path.Ext(name) {
	case ".xz":
		r, err := xz.NewParallelReader(bytes.NewReader(body), int64(len(body)))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	case ".tar":
		return body, nil
	}
	return nil, errors.New("only xz was expected")
}

var encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))

func compress(data []byte) []byte { return encoder.EncodeAll(data, nil) }

func controlOf(members []byte) (string, error) {
	for r := tar.NewReader(bytes.NewReader(members)); ; {
		h, err := r.Next()
		if err != nil {
			return "", fmt.Errorf("looking for the control file: %w", err)
		}
		if path.Clean(h.Name) == "control" {
			text, err := io.ReadAll(r)
			return strings.TrimRight(string(text), "\n") + "\n", err
		}
	}
}

func replaced(plain []byte, replace map[string]string) ([]byte, error) {
	var out bytes.Buffer
	w, r := tar.NewWriter(&out), tar.NewReader(bytes.NewReader(plain))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return out.Bytes(), w.Close()
		}
		if err != nil {
			return nil, err
		}
		var body io.Reader = r
		if text, ok := replace[path.Clean(h.Name)]; ok {
			h.Size, body = int64(len(text)), strings.NewReader(text)
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, body); err != nil {
			return nil, err
		}
	}
}
