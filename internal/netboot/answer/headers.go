package answer

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Client is what Anaconda says of the machine that asks for a kickstart, in the
// headers of inst.ks.sendmac and inst.ks.sendsn.
type Client struct {
	Cards        []Card // by number; the first one is not always the one that booted
	Serial       string // of the computer
	Architecture string
	Release      string
}

// Card is one network card of a client.
type Card struct {
	Name string // in the installer, such as eth0
	MAC  net.HardwareAddr
}

// Limits of what is read: a client could send anything.
const (
	maxCards = 64
	maxText  = 128
)

// ParseClient reads the headers of a request. What is not there stays empty; a
// malformed address is an error, because it must not pass for another machine.
func ParseClient(h http.Header) (Client, error) {
	c := Client{Serial: clip(h.Get("X-System-Serial-Number")), Architecture: clip(h.Get("X-Anaconda-Architecture")), Release: clip(h.Get("X-Anaconda-System-Release"))}
	for i := range maxCards {
		name := "X-RHN-Provisioning-MAC-" + strconv.Itoa(i)
		value := h.Get(name)
		if value == "" {
			break // they are numbered without gaps
		}
		fields := strings.Fields(value)
		if len(fields) != 2 || len(fields[0]) > 15 {
			return Client{}, fmt.Errorf("header %s: %q is not the name of a card and its address", name, clip(value))
		}
		mac, err := net.ParseMAC(fields[1])
		if err != nil || len(mac) != 6 {
			return Client{}, fmt.Errorf("header %s: %q is no hardware address", name, clip(fields[1]))
		}
		c.Cards = append(c.Cards, Card{Name: fields[0], MAC: mac})
	}
	return c, nil
}

// Has tells whether one of the client's cards has an address.
func (c Client) Has(mac net.HardwareAddr) bool {
	for _, card := range c.Cards {
		if card.MAC.String() == mac.String() {
			return true
		}
	}
	return false
}

// clip keeps a text short, and printable in one line.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '�' {
			return -1
		}
		return r
	}, s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return strings.TrimSpace(s)
}
