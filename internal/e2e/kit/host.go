package kit

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/distro/deb/hostapt"
	"slipway/internal/sandbox"
)

// Mirror is where this host's apt gets Debian from, "" if it says nothing.
func Mirror(t testing.TB) string {
	t.Helper()
	main, _, _, err := hostapt.Mirror("/", "debian")
	if err != nil {
		t.Fatal(err)
	}
	return main
}

// NeedArchive skips a test that needs the real Debian archive where it cannot
// be reached.
func NeedArchive(t testing.TB) {
	t.Helper()
	base := Mirror(t)
	if base == "" {
		base = "http://ftp.debian.org/debian"
	}
	if err := reachable(base); err != nil {
		t.Skipf("the Debian archive cannot be reached from here")
	}
}

var reached sync.Map

func reachable(base string) error {
	if err, ok := reached.Load(base); ok {
		e, _ := err.(error)
		return e
	}
	if strings.HasPrefix(base, "file:") {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, strings.TrimRight(base, "/")+"/dists/trixie/InRelease", nil)
	if err == nil {
		var resp *http.Response
		if resp, err = http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}
	reached.Store(base, err)
	return err
}

// NeedMachines skips a test that builds trees where the host forbids it.
func NeedMachines(t testing.TB) {
	t.Helper()
	if _, err := sandbox.Detect(); err != nil {
		t.Skipf("this host cannot build: %v", err)
	}
}
