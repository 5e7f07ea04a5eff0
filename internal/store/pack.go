package store

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"

	"slipway/internal/tree"
)

// A pack is one file:
//
//	header: magic "slipway pack\n", version byte, two zero bytes
//	the contents of the files, back to back, in archive order
//	index: uvarint n, n entries (tree.AppendEntry) each followed by the
//	       uvarint offset of its content; uvarint n, n control members
//	       (name, mode, time, data)
//	footer, 64 bytes: index offset and length (uint64 LE), SHA-256 of the
//	       index, magic "slipway pack end"
//
// The index is checked when a pack is opened, a content when it is first read
// through WriteTo or by Verify.
const (
	packMagic   = "slipway pack\n"
	packEnd     = "slipway pack end"
	packVersion = 1
	packHeader  = len(packMagic) + 3
	packFooter  = 8 + 8 + sha256.Size + len(packEnd)

	maxIndex   = 1 << 29
	maxControl = 64 << 20
)

// ControlFile is a member of a package that belongs to the package manager,
// such as a maintainer script.
type ControlFile struct {
	Name  string // without a leading "./"
	Mode  uint32 // permission bits
	MTime int64  // seconds since the epoch
	Data  []byte
}

// Pack is an unpacked package, open for reading. It is safe for concurrent
// use.
type Pack struct {
	f        *os.File
	entries  []tree.Entry
	offsets  []int64
	control  []ControlFile
	verified []atomic.Bool // by entry: its content was hashed and is right
}

// PackPath is where the pack of a package with this digest lies.
func (s *Store) PackPath(digestHex string) string { return s.path("packs", digestHex+".pack") }

// HasPack reports whether there is such a pack. It may still prove damaged
// when opened. Another user's packs do not count: nothing ties them to the
// package that they are said to be, so they cannot be checked.
func (s *Store) HasPack(digestHex string) bool {
	if s.foreign || !validName(digestHex) {
		return false
	}
	st, err := os.Stat(s.PackPath(digestHex))
	return err == nil && st.Mode().IsRegular()
}

// RemovePack forgets a pack, because it is damaged. None is no error.
func (s *Store) RemovePack(digestHex string) error {
	if err := s.writable("removing a pack"); err != nil {
		return err
	}
	return s.explain("removing a pack", ignoreNotExist(os.Remove(s.PackPath(digestHex))))
}

// OpenPack opens the pack of the package with this digest. The error wraps
// ErrNotFound when there is none, and is a *CorruptError when it is damaged.
// The caller closes it.
func (s *Store) OpenPack(digestHex string) (*Pack, error) {
	if !validName(digestHex) {
		return nil, fmt.Errorf("opening the pack %q: not a digest", digestHex)
	}
	if s.foreign {
		return nil, fmt.Errorf("opening the pack %s of another user: %w", digestHex, ErrNotFound)
	}
	p, err := openPack(s.PackPath(digestHex))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the pack %s: %w", digestHex, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	s.touch(p.f.Name())
	return p, nil
}

func openPack(name string) (*Pack, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	p, err := readPack(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

func readPack(f *os.File) (*Pack, error) {
	corrupt := func(format string, args ...any) error {
		return &CorruptError{Path: f.Name(), What: fmt.Sprintf(format, args...)}
	}
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening a pack: %w", err)
	}
	var head [packHeader]byte
	foot := make([]byte, packFooter)
	if st.Size() < int64(packHeader+packFooter) {
		return nil, corrupt("only %d bytes long", st.Size())
	}
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("reading a pack: %w", err)
	}
	if _, err := f.ReadAt(foot, st.Size()-int64(packFooter)); err != nil {
		return nil, fmt.Errorf("reading a pack: %w", err)
	}
	if string(head[:len(packMagic)]) != packMagic || head[len(packMagic)] != packVersion {
		return nil, corrupt("does not begin as a pack of version %d", packVersion)
	}
	off, n := binary.LittleEndian.Uint64(foot), binary.LittleEndian.Uint64(foot[8:])
	if string(foot[48:]) != packEnd || n > maxIndex ||
		off > uint64(st.Size()) || off+n != uint64(st.Size())-uint64(packFooter) {
		return nil, corrupt("does not end as a pack")
	}
	index := make([]byte, n)
	if _, err := f.ReadAt(index, int64(off)); err != nil {
		return nil, fmt.Errorf("reading a pack: %w", err)
	}
	if sum := sha256.Sum256(index); string(sum[:]) != string(foot[16:48]) {
		return nil, corrupt("the checksum of its index does not match")
	}
	p := &Pack{f: f}
	if err := p.decodeIndex(index, int64(off)); err != nil {
		return nil, corrupt("index: %v", err)
	}
	return p, nil
}

// Entries are the package's entries in archive order. The caller must not
// change them.
func (p *Pack) Entries() []tree.Entry { return p.entries }

// Control are the control members in the order they were added.
func (p *Pack) Control() []ControlFile { return p.control }

// ControlData is the data of one control member.
func (p *Pack) ControlData(name string) (data []byte, ok bool) {
	for _, c := range p.control {
		if c.Name == name {
			return c.Data, true
		}
	}
	return nil, false
}

// Close closes the file. Sections that Open gave stop working.
func (p *Pack) Close() error { return p.f.Close() }
