package mkfs

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/progress"
	"slipway/internal/target/qemu"
	"slipway/internal/tree"
)

// silence is how long the machine may do one thing without a word. Emulation
// on a busy computer is slow.
const silence = 10 * time.Minute

// leaving is how long it may take to switch itself off.
const leaving = time.Minute

// listen hears what the machine has to say, to its last word.
func listen(conn net.Conn, step *progress.Step) (got *tree.Manifest, stage string, err error) {
	stage = "start"
	done := int64(0)
	patience := func() error { return conn.SetReadDeadline(time.Now().Add(silence)) }
	if err := patience(); err != nil {
		return nil, stage, err
	}
	err = hear(conn, func(k kind, body io.Reader) error {
		if err := patience(); err != nil {
			return err
		}
		var err error
		switch k {
		case sayStage:
			var text []byte
			text, err = io.ReadAll(body)
			stage = string(text)
			step.Note(stage)
		case sayAlive:
			var n [8]byte
			_, err = io.ReadFull(body, n[:])
			now := int64(binary.BigEndian.Uint64(n[:]))
			step.Add(now - done)
			done = now
		case sayTree:
			got, err = tree.Decode(body)
		}
		return err
	})
	if err == nil && got == nil {
		err = errors.New("the virtual machine does not say what it wrote")
	}
	return got, stage, err
}

// watch ends the machine when this computer cannot keep what it writes: QEMU
// would wait for room for ever. The result comes when the machine has gone.
func watch(ctx context.Context, vm *qemu.VM) <-chan error {
	out := make(chan error, 1)
	go func() {
		var err error
		for e := range vm.Events() {
			if e.Name == "BLOCK_IO_ERROR" && err == nil {
				err = ioError(e.Data)
				go vm.Quit(context.WithoutCancel(ctx))
			}
		}
		out <- err
	}()
	return out
}

func ioError(data []byte) error {
	var what struct {
		Reason  string `json:"reason"`
		NoSpace bool   `json:"nospace"`
	}
	json.Unmarshal(data, &what)
	if what.NoSpace {
		return fmt.Errorf("keeping the volume: %w (in the temporary folder of the store)", unix.ENOSPC)
	}
	return fmt.Errorf("keeping the volume: %s", what.Reason)
}

// left waits until the machine has switched itself off, with all that it has
// written. One that was not heard to its end may already have died.
func left(ctx context.Context, vm *qemu.VM, heard error) error {
	patience := leaving
	if heard != nil {
		patience = time.Second
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-vm.Done():
		return vm.Wait()
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		if heard != nil {
			return nil
		}
		return errors.New("the virtual machine does not switch itself off")
	}
}
