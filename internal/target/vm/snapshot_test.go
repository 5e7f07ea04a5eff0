package vm

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/internal/guest/wire"
	"slipway/internal/machine"
	"slipway/internal/target/supervisor"
)

// snapshots is what the pretended QEMU answers to a command.
func (f *fake) snapshots(command, job, tag string) string {
	var answer any = struct{}{}
	switch command {
	case "snapshot-save":
		f.tags, f.job = append(f.tags, tag), job
	case "snapshot-delete":
		f.tags, f.job = slices.DeleteFunc(f.tags, func(t string) bool { return t == tag }), job
	case "snapshot-load":
		f.job = job
	case "query-jobs":
		answer = []map[string]string{{"id": f.job, "status": "concluded"}}
	case "query-named-block-nodes":
		list := []map[string]any{}
		for i, t := range f.tags {
			list = append(list, map[string]any{"name": t, "vm-state-size": 7 << 20, "date-sec": 1e9 + i, "date-nsec": 0})
		}
		answer = []map[string]any{{"node-name": "disk0", "image": map[string]any{"snapshots": list}}}
	}
	data, _ := json.Marshal(answer)
	return string(data)
}

func tags(t *testing.T, m *supervisor.Machine) string {
	t.Helper()
	list, err := m.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range list {
		if s.Memory != 7<<20 || s.Taken.Unix() < 1e9 {
			t.Errorf("described as %+v", s)
		}
		names = append(names, s.Tag)
	}
	return strings.Join(names, " ")
}

func TestSnapshots(t *testing.T) {
	m, err := start(t, fakeSpec(t, "fake", "ok"))
	if err != nil {
		t.Fatal(err)
	}
	if got := tags(t, m); got != "" {
		t.Errorf("at first: %q", got)
	}
	for _, step := range []struct{ do, tag, want, left string }{
		{"create", "one", "", "one"},
		{"create", "two", "", "one two"},
		{"create", "one", `there is a snapshot "one" already`, "one two"},
		{"restore", "one", "", "one two"},
		{"restore", "three", `there is no snapshot "three"; there are ["one" "two"]`, "one two"},
		{"delete", "three", `there is no snapshot "three"`, "one two"},
		{"delete", "one", "", "two"},
		{"create", "--all", "want at most 64 letters", "two"},
		{"create", "", "want at most 64 letters", "two"},
		{"paint", "two", "nothing to do with a snapshot", "two"},
	} {
		switch err := m.Snapshot(t.Context(), step.do, step.tag); {
		case err == nil && step.want != "", err != nil && (step.want == "" || !strings.Contains(err.Error(), step.want)):
			t.Errorf("%s %s: %v, want %q", step.do, step.tag, err, step.want)
		}
		if got := tags(t, m); got != step.left {
			t.Errorf("after %s %s there are %q", step.do, step.tag, got)
		}
	}
	if !strings.Contains(ask(t, m, "args"), "guest=ok") {
		t.Error("the agent does not answer any more")
	}
}

// What is under way keeps a snapshot from being made, and is cut when the
// machine is taken back.
func TestSnapshotCutsConversations(t *testing.T) {
	m, err := start(t, fakeSpec(t, "fake", "ok"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := m.Snapshot(ctx, "create", "calm"); err != nil {
		t.Fatal(err)
	}
	session, err := m.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	st, err := session.Open(wire.Request{Op: "exec", Args: []string{"stay"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(st.Reader(wire.Output), make([]byte, len("here"))); err != nil {
		t.Fatal(err)
	}
	if err := m.Snapshot(ctx, "create", "busy"); err == nil || !strings.Contains(err.Error(), "1 shells, commands or copies are under way") {
		t.Errorf("a snapshot in the middle of a command: %v", err)
	}
	if err := m.Snapshot(ctx, "restore", "calm"); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Wait(ctx); err == nil || !strings.Contains(err.Error(), "taken back to a snapshot") {
		t.Errorf("the command ended with %v", err)
	}
	if err := m.Snapshot(ctx, "create", "again"); err != nil {
		t.Error(err)
	}
}

func TestSnapshotRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*supervisor.Spec)
		want   string
	}{
		"state": {func(s *supervisor.Spec) {
			s.Definition.State, s.Boot.State = []string{"/srv"}, supervisor.Span{Offset: 1 << 20, Length: 1 << 20}
		}, "state: names lies on a raw disk"},
		"disks":  {func(s *supervisor.Spec) { s.Definition.VM.Disks = []machine.VMDisk{{Size: 1 << 20}} }, "vm.disks are raw"},
		"memory": {func(s *supervisor.Spec) { s.Boot.Disk = "" }, "has no disk to keep one in"},
		"nvme":   {func(s *supervisor.Spec) { s.Definition.VM.Bus = "nvme" }, "NVMe"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := fakeSpec(t, "fake", "ok")
			c.change(&spec)
			m, err := start(t, spec)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Snapshot(t.Context(), "create", "one"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("create: %v, want %q", err, c.want)
			}
			if _, err := m.Snapshots(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("list: %v, want %q", err, c.want)
			}
		})
	}
}
