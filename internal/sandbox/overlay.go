package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// OverlayOptions are the rarer settings of an overlay.
type OverlayOptions struct {
	// Volatile skips syncing: right for an upper that is thrown away when
	// anything goes wrong. A volatile upper cannot be mounted a second time
	// before its work/incompat folder is removed.
	Volatile bool
	// NoUserXattr keeps marks in trusted.overlay.* instead of user.overlay.*.
	// Only real root can, and slipway's trees are made without it.
	NoUserXattr bool
}

// MountOverlay mounts an overlay of lowers (top first) under upper on target,
// with marks in user.overlay.* attributes so that it works in a user namespace
// and its upper can be a lower later on. Directories are never redirected and
// data never shared (redirect_dir, index and metacopy are off): an upper is a
// plain delta. An empty upper and work make it read-only.
func MountOverlay(lowers []string, upper, work, target string) error {
	return MountOverlayWith(lowers, upper, work, target, OverlayOptions{})
}

// MountOverlayWith is MountOverlay with options.
func MountOverlayWith(lowers []string, upper, work, target string, opt OverlayOptions) error {
	if len(lowers) == 0 {
		return fmt.Errorf("mounting overlay on %s: no lower directories given", target)
	}
	if len(lowers) == 1 && upper == "" {
		return BindMount(lowers[0], target, true) // overlayfs wants two lowers or an upper
	}
	err := overlayByContext(lowers, upper, work, target, opt)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, errNoLowerAppend) {
		err = overlayByMount(lowers, upper, work, target, opt)
	}
	if err != nil {
		return fmt.Errorf("mounting overlay on %s: %w", target, err)
	}
	return nil
}

// errNoLowerAppend: the kernel is older than 6.5 and has no "lowerdir+".
var errNoLowerAppend = errors.New("no lowerdir+")

// flagsOf gives the settings both ways share. With userxattr the kernel
// forbids naming redirect_dir=off, because nofollow is already forced.
func (opt OverlayOptions) settings() (pairs [][2]string, flags []string) {
	pairs = [][2]string{{"index", "off"}, {"metacopy", "off"}}
	if opt.NoUserXattr {
		pairs = append(pairs, [2]string{"redirect_dir", "off"})
	} else {
		flags = append(flags, "userxattr")
	}
	if opt.Volatile {
		flags = append(flags, "volatile")
	}
	return pairs, flags
}

// overlayByContext uses fsopen(2), which has no limit on the number of lowers.
func overlayByContext(lowers []string, upper, work, target string, opt OverlayOptions) error {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("opening overlayfs: %w", err)
	}
	defer unix.Close(fs)
	var dirs shortener
	defer dirs.close()
	if err := unix.FsconfigSetString(fs, "source", "slipway"); err != nil {
		return contextError(fs, err)
	}
	for _, l := range lowers {
		err := unix.FsconfigSetString(fs, "lowerdir+", dirs.short(l))
		if err != nil && strings.Contains(contextLog(fs), "lowerdir+") && errors.Is(err, unix.EINVAL) {
			return errNoLowerAppend
		}
		if err != nil {
			return fmt.Errorf("lower %s: %w", l, contextError(fs, err))
		}
	}
	pairs, flags := opt.settings()
	if upper != "" {
		pairs = append(pairs, [2]string{"upperdir", dirs.short(upper)}, [2]string{"workdir", dirs.short(work)})
	}
	for _, p := range pairs {
		if err := unix.FsconfigSetString(fs, p[0], p[1]); err != nil {
			return fmt.Errorf("%s %s: %w", p[0], p[1], contextError(fs, err))
		}
	}
	for _, f := range flags {
		if err := unix.FsconfigSetFlag(fs, f); err != nil {
			return fmt.Errorf("%s: %w", f, contextError(fs, err))
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return contextError(fs, err)
	}
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return contextError(fs, err)
	}
	defer unix.Close(mnt)
	return unix.MoveMount(mnt, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// contextLog reads the kernel's messages about the last step.
func contextLog(fs int) string {
	var lines []string
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fs, buf)
		if err != nil || n <= 0 {
			return strings.Join(lines, "; ")
		}
		lines = append(lines, strings.TrimSpace(string(buf[:n])))
	}
}

func contextError(fs int, err error) error {
	if text := contextLog(fs); text != "" {
		return fmt.Errorf("%w (kernel: %s)", err, text)
	}
	return err
}

// maxParameter is the longest string fsconfig(2) takes, with its zero byte.
const maxParameter = 256

// shortener gives long paths a short name by way of an open descriptor.
type shortener struct{ files []*os.File }

func (s *shortener) short(path string) string {
	if len(path) < maxParameter && !strings.ContainsAny(path, `\:,`) {
		return path
	}
	return s.always(path)
}

func (s *shortener) always(path string) string {
	f, err := openRoot(path)
	if err != nil {
		return path // the kernel will say what is wrong with it
	}
	s.files = append(s.files, f)
	return fdPath(f)
}

func (s *shortener) close() {
	for _, f := range s.files {
		f.Close()
	}
}

// overlayByMount uses mount(2), whose options must fit one page: every
// directory goes by its descriptor's short name, which also needs no escapes.
func overlayByMount(lowers []string, upper, work, target string, opt OverlayOptions) error {
	var dirs shortener
	defer dirs.close()
	names := make([]string, len(lowers))
	for i, l := range lowers {
		names[i] = dirs.always(l)
	}
	parts := []string{"lowerdir=" + strings.Join(names, ":")}
	pairs, flags := opt.settings()
	if upper != "" {
		parts = append(parts, "upperdir="+dirs.always(upper), "workdir="+dirs.always(work))
	}
	for _, p := range pairs {
		parts = append(parts, p[0]+"="+p[1])
	}
	options := strings.Join(append(parts, flags...), ",")
	if len(options) >= os.Getpagesize() {
		return fmt.Errorf("%d lower directories are too many for this kernel; Linux 6.5 and later take them", len(lowers))
	}
	return unix.Mount("slipway", target, "overlay", 0, options)
}
