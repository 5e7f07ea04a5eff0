package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The descriptors a worker inherits: the line-wise JSON stream to its parent,
// then the files given in StartOptions.
const (
	workerStream    = 3
	workerFirstFile = 4
)

// boot is the first line a worker reads.
type boot struct {
	Name   string          `json:"name"`
	Args   json.RawMessage `json:"args"`
	SetIDs bool            `json:"setIDs"` // become 0:0 by oneself: maps were written from outside
	Files  []string        `json:"files"`
}

// frame is one line from a worker to its parent.
type frame struct {
	Event json.RawMessage `json:"event,omitempty"`
	Done  bool            `json:"done,omitempty"`
	Error string          `json:"error,omitempty"`
}

// Worker is the worker's side of the stream to its parent.
type Worker struct {
	// Files are the files given in StartOptions.Files, in that order.
	Files []*os.File

	args   json.RawMessage
	stream io.ReadWriteCloser
	dec    *json.Decoder
	mu     sync.Mutex
	enc    *json.Encoder
}

// Args decodes the arguments given to Start into v.
func (w *Worker) Args(v any) error {
	if err := json.Unmarshal(w.args, v); err != nil {
		return fmt.Errorf("decoding the worker's arguments: %w", err)
	}
	return nil
}

// Recv waits for the next message of Proc.Send and decodes it into v. It
// returns io.EOF when the parent sends no more.
func (w *Worker) Recv(v any) error {
	err := w.dec.Decode(v)
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("receiving from the parent: %w", err)
}

// Emit sends v as one event to Proc.Events. It may be called in parallel.
func (w *Worker) Emit(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	return w.write(frame{Event: data})
}

func (w *Worker) write(f frame) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.enc.Encode(f)
}

// workerMain is the life of a worker process.
func workerMain() int {
	stream := os.NewFile(workerStream, "parent")
	closeOnExecFrom(workerStream)
	w := &Worker{stream: stream, dec: json.NewDecoder(stream), enc: json.NewEncoder(stream)}
	var b boot
	if err := w.dec.Decode(&b); err != nil {
		return 1 // the parent is gone or could not map ids: it knows why
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	err := w.prepare(b)
	if err == nil {
		err = w.call(ctx, b.Name)
	}
	done := frame{Done: true}
	if err != nil {
		done.Error = err.Error()
		if done.Error == "" {
			done.Error = "worker failed without a message"
		}
	}
	if w.write(done) != nil || err != nil {
		return 1
	}
	return 0
}

// prepare makes the process root of its namespaces.
func (w *Worker) prepare(b boot) error {
	if b.SetIDs {
		if err := becomeRoot(); err != nil {
			return err
		}
	}
	// Changing ids clears the wish to die with the parent: say it again.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("binding the worker to its parent: %w", err)
	}
	unix.Umask(0o022)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the worker's mounts private: %w", err)
	}
	for i, name := range b.Files {
		w.Files = append(w.Files, os.NewFile(uintptr(workerFirstFile+i), name))
	}
	w.args = b.Args
	return nil
}

// becomeRoot takes the ids 0:0 without other groups, in all threads.
func becomeRoot() error {
	// The syscall package, not x/sys/unix: only its calls reach every thread.
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("clearing groups in the user namespace: %w", err)
	}
	if err := syscall.Setresgid(0, 0, 0); err != nil {
		return fmt.Errorf("becoming group 0 of the user namespace: %w", err)
	}
	if err := syscall.Setresuid(0, 0, 0); err != nil {
		return fmt.Errorf("becoming root of the user namespace: %w", err)
	}
	return nil
}

// call runs the registered body; a panic becomes an error with its stack, so
// that it reaches the user through the parent.
func (w *Worker) call(ctx context.Context, name string) (err error) {
	f, err := lookup(name)
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("worker %s panicked: %v\n%s", name, r, debug.Stack())
		}
	}()
	err = f(ctx, w)
	if ctx.Err() != nil && err == nil {
		err = errors.New("worker was cancelled")
	}
	return err
}
