package lab

import "testing"

func TestChecks(t *testing.T) {
	if _, err := RuntimeDir(); err != nil {
		t.Skip(err)
	}
	for _, c := range Checks(t.Context(), testHost(t)) {
		t.Logf("%s: %v %s", c.Name, c.OK, c.Detail)
		if c.Name == "lab network" && !c.OK {
			t.Errorf("%s, although workers start here", c.Detail)
		}
	}
}
