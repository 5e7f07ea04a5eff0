package netboot

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"slipway/internal/machine"
)

// A new version takes the old one's place when it is there, and one that cannot
// be made leaves it.
func TestBuilds(t *testing.T) {
	var version atomic.Value
	version.Store("1")
	b := &Builds{Context: t.Context(), Make: func(_ context.Context, d *machine.Definition) (*System, error) {
		if v := version.Load().(string); v != "broken" {
			return &System{Version: v}, nil
		}
		return nil, errors.New("no such package")
	}}
	m := &Machine{Name: "a", load: func() (*machine.Definition, error) { return &machine.Definition{Name: "a"}, nil }}
	if _, err := b.System(m); !errors.Is(err, ErrMaking) {
		t.Fatalf("at first: %v", err)
	}
	for _, step := range []struct{ makes, want string }{{"1", "1"}, {"2", "2"}, {"broken", "2"}, {"3", "3"}} {
		version.Store(step.makes)
		b.Renew(m, true)
		b.Wait()
		if s, err := b.System(m); err != nil || s.Version != step.want {
			t.Errorf("after %s: %+v, %v; want %s", step.makes, s, err, step.want)
		}
	}
}

func TestBuildsFail(t *testing.T) {
	b := &Builds{Context: t.Context(), Make: func(context.Context, *machine.Definition) (*System, error) { return nil, errors.New("no such package") }}
	m := &Machine{Name: "a", load: func() (*machine.Definition, error) { return &machine.Definition{Name: "a"}, nil }}
	b.System(m)
	b.Wait()
	if _, err := b.System(m); err == nil || errors.Is(err, ErrMaking) {
		t.Errorf("got %v, want why it cannot be made", err)
	}
}
