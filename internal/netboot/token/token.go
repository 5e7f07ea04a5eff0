// Package token mints the secrets that stand in the addresses that a booting
// machine is given, and says whether a request that carries one may be served.
//
// A token belongs to one DHCP exchange: it is bound to the client's hardware
// address, the exchange's number and the IP address, and lives shortly. What is
// no secret (scripts, kernels) may be fetched with it as often as a boot needs;
// a secret (an answer file, an image with keys in it) is given out once, to
// the client that the token is bound to, and counts as given when its last
// byte was acknowledged, so that a transfer that broke off can be repeated.
//
// Whoever can copy a client's hardware and IP address before it boots gets what
// it would get: a token proves the exchange, not the machine. Claim.Certificate
// asks for more.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"
)

// Claim is what a token stands for.
type Claim struct {
	Client  string     `json:"client"`            // hardware address, lower case with colons
	Xid     uint32     `json:"xid"`               // number of the DHCP exchange
	Address netip.Addr `json:"address,omitempty"` // that the client has; not valid: not known (proxy), the first request tells it
	Machine string     `json:"machine,omitempty"` // name in the fleet; empty: unknown machine
	UUID    string     `json:"uuid,omitempty"`    // as DHCP told it
	Expires time.Time  `json:"expires"`
	Issued  time.Time  `json:"issued"`
	// Certificate says that secrets are given only over TLS to a client that
	// proves to be Machine.
	Certificate bool `json:"certificate,omitempty"`
	// Only is what the token is for alone; empty: for all of a boot.
	Only   string            `json:"only,omitempty"`
	Fields map[string]string `json:"fields,omitempty"` // facts for whoever answers with it, such as arch
}

// OnlyTell is a token with which a system or an installer that runs tells how it
// gets on, and fetches nothing.
const OnlyTell = "tell"

// length is how many characters a token has: 130 bits.
const length = 26

var alphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// mint makes a token: lower case letters and digits, for firmware that changes
// the case of names, and short enough for the 128 bytes of a BOOTP file name.
func mint() string {
	raw := make([]byte, 17)
	rand.Read(raw) // never fails (crypto/rand)
	return alphabet.EncodeToString(raw)[:length]
}

// Looks says whether a string has the shape of a token, such as to leave it out
// of a log.
func Looks(s string) bool {
	return len(s) == length && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// identify is the name under which a token is known here and in the store: its
// hash, so that neither can be used to fetch anything.
func identify(token string) (id string, ok bool) {
	token = strings.ToLower(token)
	if len(token) != length {
		return "", false
	}
	sum := sha256.Sum256([]byte("slipway boot token " + token))
	return hex.EncodeToString(sum[:]), true
}

// Equal compares two secrets in a time that does not depend on where they differ.
func Equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
