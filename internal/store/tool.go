package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// A tool tree is a folder of foreign programs that slipway unpacked for
// itself. It is plain files of the store's owner, whole or not there, and can
// be made again: it is collected like everything else, unless its key is
// pinned.
//
//	tools/<key>/tree/    the programs
//	tools/<key>/boot     see Flush
//	tools/<key>/...      what the maker knows about the tree
//	tools/<name>.choice  which key a set of tools has, and why

// ToolTree is the folder of a tool tree, and whether it is there. Another
// user's programs are never there: nothing proves what they are.
func (s *Store) ToolTree(key string) (dir string, ok bool) { return s.made("tools", key) }

// CommitToolTree moves a folder that TempDir gave to its name, with notes
// beside it. What was under that name goes; the caller holds a lock that keeps
// others from doing the same.
func (s *Store) CommitToolTree(key, stage string, notes map[string][]byte) error {
	return s.commitMade("tools", key, stage, notes)
}

// ToolNote reads a note beside a tool tree; nil when there is none.
func (s *Store) ToolNote(key, name string) []byte {
	if s.foreign || !validName(key) || !validName(name) {
		return nil
	}
	data, err := os.ReadFile(s.path("tools", key, name))
	if err != nil {
		return nil
	}
	return data
}

// PutToolNote writes a note beside a tool tree.
func (s *Store) PutToolNote(key, name string, data []byte) error {
	if !validName(key) || !validName(name) || name == "tree" || name == "boot" {
		return fmt.Errorf("noting %q of the tool tree %q: not usable names", name, key)
	}
	f, err := s.TempFile("note")
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		os.Remove(f.Name())
		return s.explain("noting something of a tool tree", err)
	}
	return s.publish(f, s.path("tools", key, name))
}

// DropToolTree removes a tool tree, because it is damaged. None is no error.
func (s *Store) DropToolTree(key string) error { return s.dropMade("tools", key) }

// ToolChoice reads what PutToolChoice kept; nil when there is nothing.
func (s *Store) ToolChoice(name string) []byte {
	if s.foreign || !validName(name) {
		return nil
	}
	data, err := os.ReadFile(s.path("tools", name+choiceSuffix))
	if err != nil {
		return nil
	}
	return data
}

// PutToolChoice remembers what a set of tools consists of.
func (s *Store) PutToolChoice(name string, data []byte) error {
	if !validName(name) {
		return fmt.Errorf("remembering the tools %q: not a usable name", name)
	}
	f, err := s.TempFile("choice")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, fdatasync(f)); err != nil {
		f.Close()
		os.Remove(f.Name())
		return s.explain("remembering a choice of tools", err)
	}
	return s.publish(f, s.path("tools", name+choiceSuffix))
}

const choiceSuffix = ".choice"

// addTool lists a tool tree for garbage collection; choices are too small to
// count.
func (s *Store) addTool(inv *inventory, name string) {
	if strings.HasSuffix(name, choiceSuffix) {
		return
	}
	s.addMade(inv, "tool", "tools", name)
}
