package netboot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/machine"
)

// BenchmarkHundredThousandMachines is a folder of a hundred thousand machines
// in lists over one base: how long it takes to read, and until a change in one
// of them is what the server goes by.
func BenchmarkHundredThousandMachines(b *testing.B) {
	for _, lists := range []int{100, 1000} {
		b.Run(fmt.Sprintf("lists=%d", lists), func(b *testing.B) {
			const machines = 100_000
			dir := b.TempDir()
			put(b, filepath.Join(dir, "base.yaml"), "slipway: v1\nname: base\nsystem: debian/trixie\npackages: [openssh-server]\nnetboot: {mode: ram, match: {any: true}}\n")
			list := func(l, changed int) {
				var s strings.Builder
				only := l * machines / lists
				s.WriteString("slipway: v1\nbase: base.yaml\nmachines:\n")
				for i := l * machines / lists; i < (l+1)*machines/lists; i++ {
					fmt.Fprintf(&s, "  - {name: n%d, match: {mac: \"%s\"}, set: {hostname: n%d-%d}}\n", i, mac(i), i, changed*max(0, 1-(i-only)))
				}
				put(b, filepath.Join(dir, fmt.Sprintf("list%d.yaml", l)), s.String())
			}
			for l := range lists {
				list(l, 0)
			}
			begin := time.Now()
			f, err := OpenFolder(dir, machine.Options{}, func(s string) { b.Fatal(s) })
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(begin).Seconds(), "read-s")
			told := make(chan []string, 1)
			go f.Watch(b.Context(), func(names []string) { told <- names })
			time.Sleep(100 * time.Millisecond)
			n := 0
			for b.Loop() {
				n++
				list(n%lists, n)
				if names := <-told; len(names) != 1 {
					b.Fatal(len(names))
				}
			}
		})
	}
}

func put(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}
