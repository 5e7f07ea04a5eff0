package answer

import (
	"net/http"
	"strings"
	"testing"
)

func TestParseClient(t *testing.T) {
	h := http.Header{}
	h.Set("X-RHN-Provisioning-MAC-0", "eth0 52:54:00:04:04:03")
	h.Set("X-RHN-Provisioning-MAC-1", "eno2  52:54:00:04:04:04")
	h.Set("X-RHN-Provisioning-MAC-3", "eth3 52:54:00:04:04:05") // behind a gap
	h.Set("X-System-Serial-Number", "5B5TNM2\x01")
	h.Set("X-Anaconda-Architecture", "x86_64")
	c, err := ParseClient(h)
	if err != nil || len(c.Cards) != 2 || c.Cards[1].Name != "eno2" || c.Serial != "5B5TNM2" || c.Architecture != "x86_64" {
		t.Errorf("%+v, %v", c, err)
	}
	if !c.Has(c.Cards[1].MAC) || c.Has(nil) {
		t.Error("Has is wrong")
	}
	for _, bad := range []string{"eth0", "eth0 52:54", "eth0 1 2", "eth0 00:00:00:00:fe:80:00:00", strings.Repeat("e", 16) + " 52:54:00:04:04:03"} {
		h.Set("X-RHN-Provisioning-MAC-0", bad)
		if _, err := ParseClient(h); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzParseClient(f *testing.F) {
	f.Add("eth0 52:54:00:04:04:03", "5B5TNM2")
	f.Add("\x00 \xff", "\u2028")
	f.Fuzz(func(t *testing.T, card, serial string) {
		h := http.Header{"X-Rhn-Provisioning-Mac-0": {card}, "X-System-Serial-Number": {serial}}
		c, err := ParseClient(h)
		if err != nil {
			return
		}
		if len(c.Serial) > maxText || strings.ContainsAny(c.Serial, "\n\r\x00") {
			t.Errorf("serial %q", c.Serial)
		}
		for _, card := range c.Cards {
			if len(card.MAC) != 6 {
				t.Errorf("card %v", card)
			}
		}
	})
}
