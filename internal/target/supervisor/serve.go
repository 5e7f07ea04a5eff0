package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// serve answers clients on the machine's socket, in the protocol of package
// wire. Beside what the guest answers itself (see wire.Request), there are
//
//	status    the record, in Data
//	wait      the record, when init has reached its goal or failed to, or after MS
//	down      ends the machine; the reply comes when it has ended
//	restart   ends and starts it; Target "reset" throws its writes away between
//	lab-dial  connects from inside the lab; datagrams have a length of 2 bytes before them
//	usage     what the machine uses, in Data
//	snapshot  list, create, restore or delete (Target) a snapshot; its tag is the argument
//	log       the console log, and what follows when Follow is set
//	console   the console itself
func (s *supervisor) serve() error {
	path := filepath.Join(s.dir, socketFile)
	_ = os.Remove(path) // of a supervisor that was killed; we hold the lock
	l, err := listenUnix(path)
	if err != nil {
		return fmt.Errorf("opening the machine's socket: %w", err)
	}
	if err := s.own(path); err != nil {
		return fmt.Errorf("opening the machine's socket: %w", err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wire.Server(conn, s.handle)
		}
	}()
	return nil
}

// shortPath reaches a folder's file by a descriptor when its path is too long
// for a socket address.
func shortPath(path string, use func(string) error) error {
	if len(path) < 100 {
		return use(path)
	}
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}

func listenUnix(path string) (l net.Listener, err error) {
	err = shortPath(path, func(p string) error {
		ul, err := net.ListenUnix("unix", &net.UnixAddr{Name: p, Net: "unix"})
		if err == nil {
			ul.SetUnlinkOnClose(false)
			l = ul
		}
		return err
	})
	return l, err
}

func (s *supervisor) handle(st *wire.Stream) {
	req := st.Request
	switch req.Op {
	case "status":
		st.Finish(s.status1())
	case "wait":
		st.Finish(s.waitReady(st))
	case "down":
		if req.Target == pullThePlug {
			s.plug.Store(true)
		}
		s.requestStop()
		<-st.Over() // this process ends first
	case "restart":
		st.Finish(s.restart(req.Target))
	case "lab-dial":
		st.Finish(s.labDial(st))
	case "usage":
		st.Finish(s.usage())
	case "snapshot":
		st.Finish(s.snapshot(req))
	case "log":
		st.Finish(s.log(st))
	case "console":
		st.Finish(s.console.attach(st))
	default:
		st.Finish(s.relay(st))
	}
}

func (s *supervisor) status1() wire.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	return answer(s.rec)
}

func answer(v any) wire.Reply {
	data, err := json.Marshal(v)
	if err != nil {
		return wire.Reply{Error: err.Error()}
	}
	return wire.Reply{Data: data}
}

func (s *supervisor) waitReady(st *wire.Stream) wire.Reply {
	var timeout <-chan time.Time
	if ms := st.Request.MS; ms > 0 {
		timeout = time.After(time.Duration(ms) * time.Millisecond)
	}
	for {
		s.mu.Lock()
		state, changed := s.rec.State, s.changed
		s.mu.Unlock()
		if state != Starting {
			return s.status1()
		}
		select {
		case <-changed:
		case <-timeout:
			return s.status1()
		case <-st.Over():
			return wire.Reply{}
		}
	}
}

func (s *supervisor) restart(how string) wire.Reply {
	s.mu.Lock()
	run := s.run
	if run != nil {
		s.again = "restart"
		if how == "reset" {
			s.again = how
		}
	}
	s.mu.Unlock()
	if run == nil {
		return wire.Reply{Error: "the machine is not running at the moment"}
	}
	s.setState(Starting, "") // before the answer, so that who waits now waits for the new start
	run.shutdown(s)
	return wire.Reply{}
}

// labDial connects from the lab and copies both ways.
func (s *supervisor) labDial(st *wire.Stream) wire.Reply {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-st.Over()
		cancel()
	}()
	conn, err := s.net.dial(ctx, st.Request.Network, st.Request.Address)
	if err != nil {
		return dialFailure(err)
	}
	defer conn.Close()
	go func() {
		<-st.Over()
		conn.Close()
	}()
	if err := st.SendData(wire.Errors, []byte{0}); err != nil { // tells that it is connected
		return wire.Reply{}
	}
	return copyConn(st, conn, packets(st.Request.Network))
}

func (s *supervisor) log(st *wire.Stream) wire.Reply {
	w := s.console.watch()
	defer s.console.unwatch(w)
	out := st.Writer(wire.Output)
	for _, name := range []string{consoleFile + ".1", consoleFile} {
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			continue
		}
		if _, err := out.Write(data); err != nil {
			return wire.Reply{}
		}
	}
	if !st.Request.Follow {
		return wire.Reply{}
	}
	return pump(st, w)
}

// usage is what only the supervisor can count.
func (s *supervisor) usage() wire.Reply {
	s.mu.Lock()
	run := s.run
	s.mu.Unlock()
	u := Usage{Disk: s.body.Written(), TreeSize: s.Spec.TreeSize}
	if run != nil {
		u.Memory = run.Memory()
	}
	s.mu.Lock()
	if !s.rec.Ready.IsZero() {
		u.Boot = s.rec.Ready.Sub(s.rec.Started)
	}
	s.mu.Unlock()
	return answer(u)
}
