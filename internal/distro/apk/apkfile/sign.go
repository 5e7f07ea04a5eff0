package apkfile

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // linked for the hashes below
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

// Keys are trusted public keys by the name of their file, which is how a
// signature names its key.
type Keys map[string]*rsa.PublicKey

// minKeyBits refuses keys that can be broken; Alpine's have 2048 and 4096.
const minKeyBits = 2048

// AddPEM adds the key in a file of that name.
func (k Keys) AddPEM(name string, data []byte) error {
	block, _ := pem.Decode(data)
	if block == nil {
		return errors.New("it holds no PEM block")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("it holds no RSA key but %T", parsed)
	}
	if key.N.BitLen() < minKeyBits {
		return fmt.Errorf("its key has %d bits, fewer than %d", key.N.BitLen(), minKeyBits)
	}
	k[name] = key
	return nil
}

// Names lists the keys.
func (k Keys) Names() []string {
	out := make([]string, 0, len(k))
	for name := range k {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// signatureHashes are the kinds of signatures, by the word in their name.
var signatureHashes = []struct {
	prefix string
	hash   crypto.Hash
}{
	{".SIGN.RSA512.", crypto.SHA512}, {".SIGN.RSA256.", crypto.SHA256}, {".SIGN.RSA.", crypto.SHA1},
}

// Verify wants one signature over signed, the bytes behind the signatures, by
// one of the keys. It returns the key's name. A known key whose signature is
// wrong is an error, whatever the others say.
func Verify(signatures *Segment, signed io.Reader, keys Keys) (string, error) {
	if signatures == nil {
		return "", fmt.Errorf("%w: it is not signed (%w)", ErrSignature, ErrStranger)
	}
	var met []string
	for _, m := range signatures.members {
		for _, kind := range signatureHashes {
			name, ok := strings.CutPrefix(m.name, kind.prefix)
			if !ok {
				continue
			}
			key := keys[name]
			if key == nil {
				met = append(met, name)
				break
			}
			h := kind.hash.New()
			if _, err := io.Copy(h, signed); err != nil {
				return "", err
			}
			if err := rsa.VerifyPKCS1v15(key, kind.hash, h.Sum(nil), m.data); err != nil {
				return "", fmt.Errorf("%w: the signature of %s does not fit the content", ErrSignature, name)
			}
			return name, nil
		}
	}
	if len(met) == 0 {
		return "", fmt.Errorf("%w: its signatures are of no known kind", ErrSignature)
	}
	return "", fmt.Errorf("%w: it is signed by %s; trusted are %s (%w)", ErrSignature, strings.Join(met, ", "), strings.Join(keys.Names(), ", "), ErrStranger)
}
