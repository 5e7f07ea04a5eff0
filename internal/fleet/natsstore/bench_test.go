package natsstore

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"slipway/internal/fleet"
)

// BenchmarkHundredThousandMachines looks up and renders one machine of a
// hundred thousand, and waits until a change of one is heard of.
func BenchmarkHundredThousandMachines(b *testing.B) {
	s, err := Open(b.TempDir(), fleet.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	const machines = 100_000
	name := func(i int) (string, string) {
		return fmt.Sprintf("node%d", i), fmt.Sprintf("52:54:00:%02x:%02x:%02x", i>>16, i>>8&255, i&255)
	}
	began := time.Now()
	for i := 0; i < machines; i += 500 {
		var writes []fleet.Write
		for j := i; j < i+500; j++ {
			id, mac := name(j)
			value, err := json.Marshal(fleet.Node{ID: id, Name: id, Clients: []string{mac}, Definition: "fleet/web.yaml", Mode: "ram"})
			if err != nil {
				b.Fatal(err)
			}
			writes = append(writes, fleet.Write{Table: "nodes", Key: id, Value: value, Rev: fleet.Any})
		}
		if _, err := s.Write(b.Context(), writes...); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d records written in %v", machines, time.Since(began))
	began = time.Now()
	f, err := fleet.New(b.Context(), s, fleet.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.Logf("read in %v", time.Since(began))
	b.Run("answer", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, mac := name(i * 7919 % machines)
			n, ok := f.Node(mac)
			if !ok {
				b.Fatal(mac)
			}
			if _, err := json.Marshal(n); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("record", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			id, _ := name(i * 7919 % machines)
			if _, err := s.Get(b.Context(), "nodes", id); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("change", func(b *testing.B) {
		changes := f.Watch(b.Context())
		for i := 0; b.Loop(); i++ {
			_, mac := name(i * 7919 % machines)
			f.Record(fleet.Event{Client: mac, Kind: fleet.KindNodeReport, Stage: fleet.StageInit})
			<-changes
		}
	})
	b.Run("durable", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			id, _ := name(i * 7919 % machines)
			if err := f.Update(b.Context(), id, func(n *fleet.Node) error { n.Boots++; return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
