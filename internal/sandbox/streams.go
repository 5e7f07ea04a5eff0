package sandbox

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// streams are the three standard files of a program of a session, and what
// copies between them and the readers and writers of its Command.
type streams struct {
	files  [3]*os.File
	ours   []*os.File // our ends of pipes
	copies sync.WaitGroup
}

// openStreams makes a pipe for each stream that is no file. Output and errors
// into the same writer share one, as both then come in order and one at a time.
func openStreams(cmd Command) (*streams, error) {
	s := &streams{}
	var err error
	if s.files[0], err = s.input(cmd.Stdin); err != nil {
		return s, err
	}
	if s.files[1], err = s.output(cmd.Stdout); err != nil {
		return s, err
	}
	if cmd.Stderr != nil && same(cmd.Stdout, cmd.Stderr) {
		s.files[2] = s.files[1]
		return s, nil
	}
	s.files[2], err = s.output(cmd.Stderr)
	return s, err
}

// same compares two writers; those of types that cannot be compared differ.
func same(a, b io.Writer) (equal bool) {
	defer func() {
		if recover() != nil {
			equal = false
		}
	}()
	return a == b
}

func (s *streams) input(r io.Reader) (*os.File, error) {
	if r == nil {
		return os.Open(os.DevNull)
	}
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.ours = append(s.ours, out)
	// Not waited for: the program may end before it has read everything.
	go func() {
		_, _ = io.Copy(out, r)
		out.Close()
	}()
	return in, nil
}

func (s *streams) output(w io.Writer) (*os.File, error) {
	if w == nil {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.ours = append(s.ours, in)
	s.copies.Add(1)
	go func() {
		defer s.copies.Done()
		_, _ = io.Copy(w, in)
	}()
	return out, nil
}

func (s *streams) fds() []int {
	var out []int
	for _, f := range s.files {
		out = append(out, int(f.Fd()))
	}
	return out
}

// sent drops the program's ends, which it has now.
func (s *streams) sent() {
	for i, f := range s.files {
		if f != nil {
			if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
				continue
			}
		}
		s.files[i] = nil
	}
}

// wait waits until the program's output has been copied. Everything that can
// write is dead by now.
func (s *streams) wait() {
	limit := time.AfterFunc(time.Second, func() {
		for _, f := range s.ours {
			f.SetDeadline(time.Now())
		}
	})
	s.copies.Wait()
	limit.Stop()
}

func (s *streams) close() {
	s.sent()
	for _, f := range s.ours {
		f.Close()
	}
	s.ours = nil
}
