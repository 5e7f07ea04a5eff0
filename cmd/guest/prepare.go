package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/guest/wire"
)

// prepare writes what belongs to the running machine and makes what every
// machine has of its own. The root is already the machine's.
func prepare(cfg *wire.Config) error {
	for _, f := range cfg.Files {
		if err := writeRuntimeFile(f); err != nil {
			return fmt.Errorf("writing %s: %w", f.Path, err)
		}
	}
	for _, m := range cfg.Mint {
		if err := mint(m); err != nil {
			return fmt.Errorf("making %s: %w", m.Path, err)
		}
	}
	return nil
}

// writeRuntimeFile replaces a file when its content differs. A link is
// replaced too: what it points to (often below /run) has no writer yet.
func writeRuntimeFile(f wire.File) error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	st, err := os.Lstat(f.Path)
	isFile := err == nil && st.Mode().IsRegular()
	content := f.Content
	if isFile {
		old, err := os.ReadFile(f.Path)
		if err != nil {
			return err
		}
		if f.Append {
			content = withLines(string(old), f.Content)
		}
		if string(old) == content {
			return nil
		}
	} else if err == nil {
		if err := os.Remove(f.Path); err != nil {
			return err
		}
	}
	return os.WriteFile(f.Path, []byte(content), os.FileMode(f.Mode))
}

// withLines adds those lines to text that it does not have.
func withLines(text, lines string) string {
	have := map[string]bool{}
	for _, l := range strings.Split(text, "\n") {
		have[strings.Join(strings.Fields(l), " ")] = true
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	for _, l := range strings.Split(strings.TrimSuffix(lines, "\n"), "\n") {
		if !have[strings.Join(strings.Fields(l), " ")] {
			text += l + "\n"
		}
	}
	return text
}

// mint runs the command of an entry whose file is missing.
func mint(m wire.Mint) error {
	if found, _ := filepath.Glob(m.Path); len(found) > 0 || len(m.Command) == 0 {
		return nil
	}
	if _, err := os.Stat(m.Needs); m.Needs != "" && err != nil {
		return nil
	}
	program, err := lookPath(m.Command[0], defaultPath)
	if err != nil {
		return err
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	p, err := os.StartProcess(program, m.Command, &os.ProcAttr{
		Dir: "/", Env: baseEnv(), Files: []*os.File{null, null, null},
	})
	if err != nil {
		return err
	}
	state, err := p.Wait()
	if err != nil {
		return err
	}
	if !state.Success() {
		return fmt.Errorf("%s: %s", strings.Join(m.Command, " "), state)
	}
	return nil
}
