package container

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"slipway/internal/guest/wire"
)

func TestTerminal(t *testing.T) {
	m := up(t, tinySpec(t, "tiny"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	session, err := m.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	st, err := session.Open(wire.Request{Op: "exec", Args: []string{"/bin/tool", "where"}, TTY: true, Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(st.Reader(wire.Output))
	if r, err := st.Wait(ctx); err != nil || r.Exit != 0 || !strings.HasPrefix(string(out), "0 /root tiny /root true") {
		t.Errorf("on a terminal: %q, %+v, %v", out, r, err)
	}
	st, err = session.Open(wire.Request{Op: "exec", Args: []string{"/bin/tool", "sleep"}, TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	st.SendData(wire.Input, []byte{3}) // ctrl-c
	if r, err := st.Wait(ctx); err != nil || r.Signal != 2 && r.Exit == 0 {
		t.Errorf("after ctrl-c: %+v, %v", r, err)
	}
}
