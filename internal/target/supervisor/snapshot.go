package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"slipway/internal/guest/wire"
)

// Snapshot is a state of a machine, memory and disk, to which it can go back.
type Snapshot struct {
	Tag    string    `json:"tag"`
	Taken  time.Time `json:"taken"`
	Memory int64     `json:"memory"` // bytes of its state beside the disk
}

// Snapshotter is a Run that can keep its state and go back to it.
type Snapshotter interface {
	Snapshots(ctx context.Context) ([]Snapshot, error)
	CreateSnapshot(ctx context.Context, tag string) error
	RestoreSnapshot(ctx context.Context, tag string) error
	DeleteSnapshot(ctx context.Context, tag string) error
}

// snapshotDeadline bounds the saving and loading of a machine's memory.
const snapshotDeadline = 10 * time.Minute

// tagForm is what a tag may be: a word that no program takes for an option.
var tagForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Snapshots lists the snapshots of a machine, oldest first.
func (m *Machine) Snapshots(ctx context.Context) ([]Snapshot, error) {
	var list []Snapshot
	r, err := m.call(ctx, wire.Request{Op: "snapshot", Target: "list"})
	if err == nil {
		err = json.Unmarshal(r.Data, &list)
	}
	return list, err
}

// Snapshot makes, goes back to or forgets a snapshot: do is create, restore or
// delete.
func (m *Machine) Snapshot(ctx context.Context, do, tag string) error {
	if !tagForm.MatchString(tag) {
		return fmt.Errorf("the tag %q of a snapshot: want at most 64 letters, digits, dots, hyphens and underscores, a letter or digit first", tag)
	}
	_, err := m.call(ctx, wire.Request{Op: "snapshot", Target: do, Args: []string{tag}})
	return err
}

// gate knows the conversations with the guest. Who holds its lock holds back
// new ones.
type gate struct {
	sync.Mutex
	open    map[*wire.Stream]bool
	opening int // about to be in open
	cuts    int // how often all were ended
}

// errCut tells a client why its conversation is over.
var errCut = errors.New("the machine was taken back to a snapshot")

// enter opens a conversation; leave is called when it has ended.
func (g *gate) enter(agent *wire.Session, req wire.Request) (*wire.Stream, error) {
	g.Lock()
	g.opening++
	cuts := g.cuts
	g.Unlock()
	st, err := agent.Open(req) // a guest that hangs holds this up, and must not hold the lock
	g.Lock()
	defer g.Unlock()
	g.opening--
	if err == nil && cuts != g.cuts {
		go st.Reset()
		err = errCut
	}
	if err != nil {
		return nil, err
	}
	if g.open == nil {
		g.open = map[*wire.Stream]bool{}
	}
	g.open[st] = true
	return st, nil
}

// leave tells whether the conversation was cut.
func (g *gate) leave(st *wire.Stream) (cut bool) {
	g.Lock()
	defer g.Unlock()
	cut = !g.open[st]
	delete(g.open, st)
	return cut
}

// cut gives up all conversations, which the caller must reset; its lock is held.
func (g *gate) cut() []*wire.Stream {
	var list []*wire.Stream
	for st := range g.open {
		list = append(list, st)
	}
	g.open = nil
	g.cuts++
	return list
}

// snapshot answers the request of that name.
func (s *supervisor) snapshot(req wire.Request) wire.Reply {
	s.mu.Lock()
	run, state := s.run, s.rec.State
	s.mu.Unlock()
	if run == nil || state != Running {
		return wire.Reply{Error: "snapshots are of a machine that is up; it is " + string(state)}
	}
	keeper, ok := run.Run.(Snapshotter)
	if !ok {
		return wire.Reply{Error: fmt.Sprintf("target %s keeps no snapshots: only virtual machines do (slipway up FILE --on vm)", s.Spec.Target)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), snapshotDeadline)
	defer cancel()
	if req.Target == "list" {
		list, err := keeper.Snapshots(ctx)
		if err != nil {
			return wire.Reply{Error: err.Error()}
		}
		return answer(list)
	}
	if len(req.Args) != 1 || !tagForm.MatchString(req.Args[0]) {
		return wire.Reply{Error: "a snapshot needs a tag"}
	}
	var err error
	switch tag := req.Args[0]; req.Target {
	case "create":
		err = s.createSnapshot(ctx, run, keeper, tag)
	case "restore":
		err = s.restoreSnapshot(ctx, run, keeper, tag)
	case "delete":
		err = keeper.DeleteSnapshot(ctx, tag)
	default:
		err = fmt.Errorf("there is nothing to do with a snapshot that is called %q", req.Target)
	}
	if err != nil {
		return wire.Reply{Error: err.Error()}
	}
	return wire.Reply{}
}

// createSnapshot keeps a state in which nobody is in the middle of a word with
// the agent: after going back the other end would not know how it goes on.
func (s *supervisor) createSnapshot(ctx context.Context, run *incarnation, keeper Snapshotter, tag string) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if n := len(s.gate.open) + s.gate.opening; n > 0 {
		return fmt.Errorf("%d shells, commands or copies are under way in the machine, and a snapshot would cut them: end them first", n)
	}
	if err := run.ping(ctx); err != nil {
		return fmt.Errorf("the machine's agent does not answer before the snapshot: %w", err)
	}
	return keeper.CreateSnapshot(ctx, tag)
}

// restoreSnapshot ends what is under way, which the machine will not remember.
func (s *supervisor) restoreSnapshot(ctx context.Context, run *incarnation, keeper Snapshotter, tag string) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	list, err := keeper.Snapshots(ctx)
	if err != nil {
		return err
	}
	if there(list, tag) {
		_ = run.ping(ctx, s.gate.cut()...) // takes in what was sent; a machine that hangs is one to be taken back
	}
	if err := keeper.RestoreSnapshot(ctx, tag); err != nil {
		return err
	}
	if err := run.ping(ctx); err != nil {
		return fmt.Errorf("the machine was taken back, but its agent does not answer (%w); start it again with: slipway reset %s", err, s.Spec.Name)
	}
	return nil
}

func there(list []Snapshot, tag string) bool {
	for _, s := range list {
		if s.Tag == tag {
			return true
		}
	}
	return false
}

// ping ends conversations, and waits until the agent, if there is one, has
// answered everything before.
func (r *incarnation) ping(ctx context.Context, over ...*wire.Stream) error {
	if r.session == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("it was silent for 20 seconds"))
	defer cancel()
	answered := make(chan error, 1)
	go func() { // see power: even the question may be held up
		for _, st := range over {
			st.Reset()
		}
		st, err := r.session.Open(wire.Request{Op: "ping"})
		if err == nil {
			_, err = st.Wait(ctx)
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
