package probe

import (
	"strings"
	"testing"
)

func TestCapped(t *testing.T) {
	var c capped
	chunk := strings.Repeat("x", 1<<20)
	for range mostRead>>20 + 2 {
		if n, err := c.Write([]byte(chunk)); n != len(chunk) || err != nil {
			t.Fatal(n, err)
		}
	}
	if c.Len() != mostRead {
		t.Errorf("kept %d bytes, want %d", c.Len(), mostRead)
	}
}
