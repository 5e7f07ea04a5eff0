package sandbox

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

func init() {
	RegisterEntry("test:entered", func() int {
		user, _ := os.Readlink("/proc/self/ns/user")
		net, _ := os.Readlink("/proc/self/ns/net")
		fmt.Printf("%s %s %d:%d %s\n", user, net, os.Getuid(), os.Getgid(), strings.Join(os.Environ(), " "))
		err := loopbackUp() // needs the rights of the namespace
		fmt.Println("lo", err)
		io.Copy(os.Stdout, os.Stdin)
		if len(os.Args) > 1 {
			return 4
		}
		return 0
	})
	Register("test:namespaces", func(ctx context.Context, w *Worker) error {
		w.Emit("ready")
		<-ctx.Done()
		return nil
	})
}

func TestEnterExec(t *testing.T) {
	h := testHost(t)
	p, err := h.StartWith(t.Context(), "test:namespaces", nil, StartOptions{Net: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	<-p.Events()
	var ns [2]*os.File
	var want []string
	for i, kind := range []string{"user", "net"} {
		name := fmt.Sprintf("/proc/%d/ns/%s", p.PID(), kind)
		link, err := os.Readlink(name)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, link)
		if ns[i], err = os.Open(name); err != nil {
			t.Fatal(err)
		}
		defer ns[i].Close()
	}
	inR, inW, _ := os.Pipe()
	outR, outW, _ := os.Pipe()
	defer outR.Close()
	proc, err := EnterExec(ns[0], ns[1], "", []string{"test:entered", "x"}, []string{"A=b"}, []*os.File{inR, outW, outW})
	inR.Close()
	outW.Close()
	if err != nil {
		t.Fatal(err)
	}
	inW.WriteString("input")
	inW.Close()
	out, _ := io.ReadAll(outR)
	state, err := proc.Wait()
	if err != nil || state.ExitCode() != 4 {
		t.Errorf("ended with %v, %v", state, err)
	}
	if text := strings.Join(want, " ") + " 0:0 A=b\nlo <nil>\ninput"; string(out) != text {
		t.Errorf("got  %q\nwant %q", out, text)
	}
	if _, err := (Enter{Path: "/nonexistent", Args: []string{"x"}}).Start(); err == nil || !strings.Contains(err.Error(), "executing /nonexistent: no such file") {
		t.Errorf("error %v", err)
	}
	if _, err := EnterExec(ns[1], nil, "", []string{"x"}, nil, nil); err == nil || !strings.Contains(err.Error(), "joining the user namespace") {
		t.Errorf("error %v", err)
	}
}
