package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"slipway/internal/machine"
)

// applyFiles puts the files that are no secrets.
func applyFiles(ctx context.Context, j *job) error {
	for _, f := range j.def.Files {
		if f.Secret != nil {
			continue
		}
		if err := putFile(ctx, j, f); err != nil {
			return fmt.Errorf("%s%s: %w", at(f.Pos), f.Path, err)
		}
	}
	return nil
}

// putFile puts one item of files:.
func putFile(ctx context.Context, j *job, f machine.File) error {
	if !path.IsAbs(f.Path) {
		return errors.New("the path is not absolute")
	}
	a, given, err := j.attributes(f, 0o644)
	if err != nil {
		return err
	}
	switch {
	case f.Content != nil:
		return j.writeText(f.Path, *f.Content, a)
	case f.Link != "":
		return j.symlink(f.Link, f.Path, a)
	case f.From != nil:
		return j.copyFrom(ctx, f, a, given)
	case strings.HasSuffix(f.Path, "/"):
		if !given {
			a.mode = 0o755
		}
		return j.mkdir(f.Path, a)
	}
	return errors.New("one of content, from, link or secret is needed (a folder's path ends with a slash)")
}

// attributes are an item's owner and mode; given tells whether it names a mode.
func (j *job) attributes(f machine.File, mode uint32) (a attr, given bool, err error) {
	a.mode = mode
	if f.Mode != "" {
		if a.mode, err = parseMode(f.Mode); err != nil {
			return a, false, err
		}
	}
	a.uid, a.gid, err = j.owner(f.Owner)
	return a, f.Mode != "", err
}

func parseMode(s string) (uint32, error) {
	mode, err := strconv.ParseUint(s, 8, 32)
	if err != nil || mode > 0o7777 {
		return 0, fmt.Errorf("mode %q is no octal number up to 7777", s)
	}
	return uint32(mode), nil
}

// copyFrom copies a file or a folder's content from the host.
func (j *job) copyFrom(ctx context.Context, f machine.File, a attr, given bool) error {
	source := f.From.File
	if f.From.URL != "" {
		if j.env.Fetch == nil {
			return fmt.Errorf("fetching %s: there is no way to fetch here", f.From.URL)
		}
		fetched, err := j.env.Fetch(ctx, f.From.URL, f.From.SHA256)
		if err != nil {
			return fmt.Errorf("fetching %s: %w", f.From.URL, err)
		}
		source = fetched
	}
	info, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("reading what it comes from: %w", err)
	}
	if info.IsDir() {
		return j.copyFolder(ctx, source, f.Path, a, given)
	}
	to := f.Path
	if strings.HasSuffix(to, "/") {
		to = path.Join(to, filepath.Base(source))
	}
	return j.copyFile(source, to, f.From.SHA256, a, given)
}

// copyFile copies one regular file. Without a mode it becomes 0644, or 0755 if
// the source may be executed: the host's umask does not matter.
func (j *job) copyFile(source, to, digest string, a attr, given bool) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a file nor a folder", source)
	}
	if !given && info.Mode()&0o100 != 0 {
		a.mode = 0o755
	}
	sum := sha256.New()
	if err := j.writeFile(to, io.TeeReader(in, sum), a); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); digest != "" && !strings.EqualFold(got, digest) {
		return fmt.Errorf("%s has SHA-256 %s, want %s", source, got, digest)
	}
	return nil
}

// copyFolder copies what is in a folder: files, folders and links.
func (j *job) copyFolder(ctx context.Context, source, to string, a attr, given bool) error {
	source, err := filepath.EvalSymlinks(source) // or the walk would see the link alone
	if err != nil {
		return err
	}
	folder := a
	folder.mode = 0o755
	if given {
		folder.mode = a.mode | a.mode&0o444>>2 // who may read may also enter
	}
	return filepath.WalkDir(source, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, name)
		if err != nil {
			return err
		}
		inside := path.Join(to, filepath.ToSlash(rel))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case rel == "." && j.isDir(inside):
			return nil // an existing folder keeps its owner and mode
		case d.IsDir():
			if !given && j.isDir(inside) {
				return nil
			}
			return j.mkdir(inside, folder)
		case d.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			return j.symlink(target, inside, a)
		}
		return j.copyFile(name, inside, "", a, given)
	})
}
