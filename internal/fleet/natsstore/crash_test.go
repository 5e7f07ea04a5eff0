package natsstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/internal/fleet"
)

// childDir makes the test binary a writer that says what was answered.
const childDir, childSpace = "SLIPWAY_FLEET_CHILD", "SLIPWAY_FLEET_CHILD_SPACE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if os.Getenv(childSpace) != "" {
			childFull(dir)
		}
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// child appends events 0, 1, 2 ... and keeps the record "n" at the same number,
// and prints each number when both are durable.
func child(dir string) {
	s, err := Open(dir, fleet.Limits{})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	ctx, start := context.Background(), 0
	rev := fleet.Absent
	if r, err := s.Get(ctx, "t", "n"); err == nil {
		start, _ = strconv.Atoi(string(r.Value))
		start, rev = start+1, int64(r.Rev)
	}
	fmt.Println("ready")
	for i := start; ; i++ {
		text := strconv.Itoa(i)
		e := fleet.Event{Time: time.Now(), Machine: "web", Kind: "k", Text: text}
		other := fleet.Event{Time: time.Now(), Machine: "db", Kind: "k", Text: text}
		if err := s.Append(ctx, e, other); err != nil {
			fmt.Println("append:", err)
			os.Exit(1)
		}
		revs, err := s.Write(ctx, fleet.Write{Table: "t", Key: "n", Value: []byte(text), Rev: rev}, fleet.Write{Table: "t", Key: "twin", Value: []byte(text), Rev: fleet.Any})
		if err != nil {
			fmt.Println("write:", err)
			os.Exit(1)
		}
		rev = int64(revs[0])
		fmt.Println(text)
	}
}

func TestKilledAtAnyMoment(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	acked := -1
	for round := range rounds {
		acked = max(acked, killChild(t, dir, time.Duration(rand.IntN(300))*time.Millisecond))
		s, err := Open(dir, fleet.Limits{PerMachine: 1 << 20})
		if err != nil {
			t.Fatalf("round %d: opening after kill -9: %v", round, err)
		}
		n := numberOf(t, s, "n")
		if n < acked {
			t.Errorf("round %d: the record says %d, answered was %d", round, n, acked)
		}
		if twin := numberOf(t, s, "twin"); twin != n {
			t.Errorf("round %d: a write of two records was done by half: %d and %d", round, n, twin)
		}
		seen := map[string]bool{}
		events, err := s.Events(t.Context(), fleet.Query{Keys: []string{"web"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			seen[e.Text] = true
		}
		for i := range acked + 1 {
			if !seen[strconv.Itoa(i)] {
				t.Errorf("round %d: event %d of %d is lost", round, i, acked)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d answered writes over %d kills", acked+1, rounds)
}

// killChild lets a writer run, kills it a while after it began, and returns
// the last number that it said was durable.
func killChild(t *testing.T, dir string, after time.Duration) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := -1
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			time.AfterFunc(after, func() { cmd.Process.Kill() })
			continue
		}
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Errorf("the writer said %q", lines.Text())
			continue
		}
		last = n
	}
	io.Copy(io.Discard, out)
	cmd.Wait()
	return last
}

func numberOf(t *testing.T, s fleet.Store, key string) int {
	t.Helper()
	r, err := s.Get(t.Context(), "t", key)
	if errors.Is(err, fleet.ErrNotFound) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(r.Value))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTwoProcessesAreOneTooMany(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, fleet.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if _, err := Open(dir, fleet.Limits{}); !errors.As(err, &held) || held.PID != os.Getpid() || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Fatalf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir, fleet.Limits{})
	if err != nil {
		t.Fatalf("opening after the other has closed: %v", err)
	}
	s.Close()
}

// TestDamagedFiles flips and cuts bytes of every file: the store opens or says
// what is wrong, and never shows what was not written.
func TestDamagedFiles(t *testing.T) {
	master := t.TempDir()
	s, err := Open(master, fleet.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if err := s.Append(t.Context(), fleet.Event{Time: time.Now(), Machine: "web", Kind: "k", Text: "event " + strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(t.Context(), fleet.Write{Table: "t", Key: strconv.Itoa(i), Value: []byte("value " + strconv.Itoa(i)), Rev: fleet.Any}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	var files []string
	filepath.WalkDir(master, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "lock" {
			rel, _ := filepath.Rel(master, path)
			files = append(files, rel)
		}
		return err
	})
	if len(files) < 4 {
		t.Fatalf("found only %v", files)
	}
	for _, file := range files {
		for _, how := range []string{"flip", "cut", "empty"} {
			t.Run(how+" "+filepath.Base(filepath.Dir(filepath.Dir(file)))+" "+filepath.Base(file), func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(master)); err != nil {
					t.Fatal(err)
				}
				harm(t, filepath.Join(dir, file), how)
				s, err := Open(dir, fleet.Limits{})
				if err != nil {
					if !strings.Contains(err.Error(), dir) {
						t.Errorf("the error does not name the folder: %v", err)
					}
					t.Logf("refused: %v", err)
					return
				}
				defer s.Close()
				n := 0
				for r, err := range s.List(t.Context(), "t") {
					if err != nil {
						t.Fatal(err)
					}
					if string(r.Value) != "value "+r.Key {
						t.Errorf("record %s is %q", r.Key, r.Value)
					}
					n++
				}
				events, err := s.Events(t.Context(), fleet.Query{})
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range events {
					if !strings.HasPrefix(e.Text, "event ") {
						t.Errorf("event %+v", e)
					}
				}
				t.Logf("kept %d of 50 records and %d of 50 events; said %q", n, len(events), s.Damage())
				if _, err := s.Write(t.Context(), fleet.Write{Table: "t", Key: "new", Value: []byte("value new"), Rev: fleet.Any}); err != nil {
					t.Errorf("writing after the damage: %v", err)
				}
			})
		}
	}
}

func harm(t *testing.T, path, how string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case how == "empty":
		raw = nil
	case how == "cut":
		raw = raw[:len(raw)*2/3]
	case len(raw) > 0:
		raw[len(raw)/2] ^= 0x55
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// childFull fills a small file system of its own, makes room, and goes on.
func childFull(dir string) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		fmt.Println("mount:", err)
		os.Exit(3)
	}
	ballast := filepath.Join(dir, "ballast")
	s, err := Open(filepath.Join(dir, "store"), fleet.Limits{})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	ctx := context.Background()
	write := func(i int) error {
		_, err := s.Write(ctx, fleet.Write{Table: "t", Key: "n", Value: []byte(strconv.Itoa(i)), Rev: fleet.Any})
		return errors.Join(err, s.Append(ctx, fleet.Event{Time: time.Now(), Machine: "web", Kind: "k", Text: strings.Repeat("x", 1000)}))
	}
	if err := write(0); err != nil {
		fmt.Println("first write:", err)
		os.Exit(1)
	}
	f, _ := os.Create(ballast)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	failed, good := error(nil), 0
	for i := 1; i < 200 && failed == nil; i++ {
		if failed = write(i); failed == nil {
			good = i
		}
	}
	if failed == nil {
		fmt.Println("the disk never became full")
		os.Exit(1)
	}
	fmt.Println("failed:", failed)
	os.Remove(ballast)
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if err = write(1000); err == nil {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	if err != nil {
		fmt.Println("it does not go on:", err)
		os.Exit(1)
	}
	r, err := s.Get(ctx, "t", "n")
	fmt.Println("then", string(r.Value), err, "good before:", good)
	if err != nil || string(r.Value) != "1000" {
		os.Exit(1)
	}
	if err := s.Close(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("went on")
	os.Exit(0)
}

func TestDiskFull(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+t.TempDir(), childSpace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.Is(err, syscall.EPERM) || errors.As(err, &exit) && exit.ExitCode() == 3 {
		t.Skipf("no file system of one's own may be mounted here: %v %s", err, out)
	}
	if err != nil || !strings.Contains(string(out), "went on") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	if !strings.Contains(string(out), "make room") {
		t.Error("the error does not say that the disk is full")
	}
}
