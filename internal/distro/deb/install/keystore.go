package install

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"io/fs"
	"unicode/utf16"
)

// javaStore holds the certificates that Java trusts. Its packages write it
// with the time of the build inside.
const javaStore = "etc/ssl/certs/java/cacerts"

// settleKeystore gives the entries of Java's certificate store the tree's
// date, so that two builds have the same bytes.
func (in *Installer) settleKeystore() error {
	data, err := in.root.Read(javaStore)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	settled, ok := settleDates(data, in.opt.Epoch)
	if !ok || bytes.Equal(settled, data) {
		return nil // another format, or somebody's own: not ours to touch
	}
	st, err := in.root.Stat(javaStore)
	if err != nil {
		return err
	}
	return in.root.Write(javaStore, settled, st.Mode&0o7777)
}

// The format JKS, as the class JavaKeyStore of OpenJDK documents it: big-endian
// magic, version and count; for each entry a tag, an alias, a date in
// milliseconds, and for a certificate its type and bytes; then a digest over
// the password, a phrase and all that came before.
const (
	jksMagic   = 0xfeedfeed
	jksVersion = 2
	jksTrusted = 2 // tag of a certificate
	jksPhrase  = "Mighty Aphrodite"
	jksOpen    = "changeit" // the password of the trusted certificates, which are no secret
)

// settleDates sets the date of every entry, in seconds since the epoch. It
// reports false for what is no intact store of certificates only.
func settleDates(data []byte, date int64) ([]byte, bool) {
	if len(data) < 12+sha1.Size {
		return nil, false
	}
	out := bytes.Clone(data)
	body := out[:len(out)-sha1.Size]
	if !bytes.Equal(jksDigest(body), out[len(body):]) {
		return nil, false
	}
	be := binary.BigEndian
	if be.Uint32(body) != jksMagic || be.Uint32(body[4:]) != jksVersion {
		return nil, false
	}
	rest := body[12:]
	skip := func(n int) bool {
		if n < 0 || n > len(rest) {
			return false
		}
		rest = rest[n:]
		return true
	}
	text := func() bool { return len(rest) >= 2 && skip(2+int(be.Uint16(rest))) }
	for n := be.Uint32(body[8:]); n > 0; n-- {
		if len(rest) < 4 || be.Uint32(rest) != jksTrusted || !skip(4) || !text() || len(rest) < 8 {
			return nil, false
		}
		be.PutUint64(rest, uint64(date*1000))
		if !skip(8) || !text() || len(rest) < 4 || !skip(4+int(be.Uint32(rest))) {
			return nil, false
		}
	}
	if len(rest) > 0 {
		return nil, false
	}
	copy(out[len(body):], jksDigest(body))
	return out, true
}

func jksDigest(body []byte) []byte {
	h := sha1.New()
	for _, c := range utf16.Encode([]rune(jksOpen)) {
		h.Write([]byte{byte(c >> 8), byte(c)})
	}
	h.Write([]byte(jksPhrase))
	h.Write(body)
	return h.Sum(nil)
}
