package archive

import (
	"bytes"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"crypto"
)

//go:embed keys/*/*.gpg
var embedded embed.FS

// Keyring is a set of OpenPGP public keys that may sign an archive.
type Keyring struct {
	name string // for messages
	keys openpgp.EntityList
}

// maxKeyFile bounds a key file, in bytes.
const maxKeyFile = 4 << 20

// ReadKeyring reads a file of OpenPGP public keys, binary or ASCII-armored
// (what apt's Signed-By names).
func ReadKeyring(path string) (*Keyring, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the archive's key: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the archive's key %s: %w", path, err)
	}
	ring := &Keyring{name: path}
	if err := ring.add(data); err != nil {
		return nil, fmt.Errorf("reading the archive's key %s: %w; it must hold OpenPGP public keys", path, err)
	}
	return ring, nil
}

// add reads binary keys, or any number of armored blocks.
func (k *Keyring) add(data []byte) error {
	if len(data) > maxKeyFile {
		return fmt.Errorf("longer than %d bytes", maxKeyFile)
	}
	if !bytes.Contains(data, []byte("-----BEGIN PGP")) {
		return k.addBinary(bytes.NewReader(data))
	}
	for rest := bytes.NewReader(data); ; {
		block, err := armor.Decode(rest)
		if err == io.EOF && len(k.keys) > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if err := k.addBinary(block.Body); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, block.Body); err != nil {
			return err
		}
	}
}

func (k *Keyring) addBinary(r io.Reader) error {
	list, err := openpgp.ReadKeyRing(r)
	if err != nil {
		return err
	}
	k.keys = append(k.keys, list...)
	return nil
}

// Fingerprints lists the primary keys, upper-case hex.
func (k *Keyring) Fingerprints() []string {
	var list []string
	for _, e := range k.keys {
		list = append(list, fingerprint(e))
	}
	return list
}

func fingerprint(e *openpgp.Entity) string {
	return strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint))
}

// openClearsigned verifies an InRelease file and returns exactly the text
// that is signed, and the fingerprints of the good signers. Anything before
// or after the signed part is refused, since it could be mistaken for it.
func (k *Keyring) openClearsigned(data []byte, now time.Time) (text []byte, signers []string, err error) {
	if !bytes.HasPrefix(data, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) {
		return nil, nil, unsigned("it is not a clearsigned file (it starts with %.30q)", data)
	}
	block, rest := clearsign.Decode(data)
	if block == nil {
		return nil, nil, unsigned("its signature is cut off or damaged")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, nil, unsigned("there is text after its signature")
	}
	signers, err = k.verify(block.Bytes, block.ArmoredSignature.Body, now)
	return block.Plaintext, signers, err
}

// openDetached verifies a Release file against its Release.gpg.
func (k *Keyring) openDetached(text, signature []byte, now time.Time) (signers []string, err error) {
	block, err := armor.Decode(bytes.NewReader(signature))
	if err != nil {
		return nil, unsigned("its detached signature is not ASCII-armored OpenPGP data")
	}
	return k.verify(text, block.Body, now)
}

func unsigned(format string, args ...any) error {
	return &kindError{ErrSignature, fmt.Sprintf(format, args...)}
}

// maxSignatures bounds the work that one file may ask for.
const maxSignatures = 16

// verify checks each signature by itself and wants one good one: archives
// sign with an old and a new key at once, of which one may be unknown here.
func (k *Keyring) verify(text []byte, signature io.Reader, now time.Time) (signers []string, err error) {
	packets := packet.NewReader(signature)
	var problems []string
	for range maxSignatures {
		p, err := packets.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			problems = append(problems, "a signature is damaged")
			break
		}
		s, ok := p.(*packet.Signature)
		if !ok {
			continue
		}
		signer, err := k.verifyOne(text, s, now)
		if err != nil {
			problems = append(problems, err.Error())
			if errors.Is(err, ErrClock) {
				return nil, err
			}
			continue
		}
		signers = append(signers, fingerprint(signer))
	}
	if len(signers) > 0 {
		return signers, nil
	}
	if len(problems) == 0 {
		problems = []string{"there is no signature in it"}
	}
	return nil, unsigned("%s (trusted are %s)", strings.Join(problems, "; "), k.name)
}

func (k *Keyring) verifyOne(text []byte, s *packet.Signature, now time.Time) (*openpgp.Entity, error) {
	if s.IssuerKeyId == nil {
		return nil, errors.New("a signature names no key")
	}
	id := fmt.Sprintf("%016X", *s.IssuerKeyId)
	if s.Hash != crypto.SHA256 && s.Hash != crypto.SHA384 && s.Hash != crypto.SHA512 {
		return nil, fmt.Errorf("the signature by key %s uses the weak hash %v", id, s.Hash)
	}
	if s.CreationTime.After(now.Add(clockTolerance)) {
		return nil, &kindError{ErrClock, fmt.Sprintf("it was signed on %s, but this host's clock says %s: set the clock", day(s.CreationTime), day(now))}
	}
	for _, key := range k.keys.KeysById(*s.IssuerKeyId) {
		if bits, err := key.PublicKey.BitLength(); err == nil && key.PublicKey.PubKeyAlgo == packet.PubKeyAlgoRSA && bits < 2048 {
			return nil, fmt.Errorf("key %s is weak (%d bits)", id, bits)
		}
	}
	var one bytes.Buffer
	if err := s.Serialize(&one); err != nil {
		return nil, errors.New("a signature cannot be read")
	}
	// A signature made a little in the future is accepted, as far as the
	// tolerance goes: it is verified as of its own moment.
	at := now
	if s.CreationTime.After(at) {
		at = s.CreationTime
	}
	config := &packet.Config{Time: func() time.Time { return at }}
	_, signer, err := openpgp.VerifyDetachedSignature(k.keys, bytes.NewReader(text), &one, config)
	if err != nil {
		return nil, explainSignature(id, err)
	}
	return signer, nil
}

func explainSignature(id string, err error) error {
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return fmt.Errorf("key %s is not known", id)
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return fmt.Errorf("key %s has expired", id)
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return fmt.Errorf("key %s is revoked", id)
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return fmt.Errorf("the signature by key %s has expired", id)
	}
	return fmt.Errorf("the signature by key %s is bad", id)
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
