package vm

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipway/internal/target/supervisor"
)

// patience is how long a stage may take under plain emulation on a busy host;
// with KVM all are far shorter.
var patience = map[string]time.Duration{
	"firmware": 90 * time.Second,
	"loader":   90 * time.Second,
	"kernel":   150 * time.Second,
	"root":     90 * time.Second,
	"agent":    90 * time.Second,
	// over the network
	"dhcp": 60 * time.Second, "script": 60 * time.Second, "initrd": 10 * time.Minute, "install": 30 * time.Minute,
}

// netPatience is for stages that take longer when the machine boots over the
// network: its firmware tries one thing after the other, and the root comes
// after the kernel's own start.
var netPatience = map[string]time.Duration{"firmware": 3 * time.Minute, "loader": 3 * time.Minute, "root": 4 * time.Minute}

// foreignPatience is for systems that tell nothing of their stages.
const foreignPatience = 8 * time.Minute

// testPatience shortens the patience of tests, which have no other way into
// the supervisor.
const testPatience = "SLIPWAY_TEST_PATIENCE"

// order lists the stages of a target until the agent answers. Where a kernel is
// given to the machine directly, firmware is what comes before it starts.
func order(target string) []string {
	switch target {
	case "netboot":
		return []string{"firmware", "dhcp", "loader", "script", "kernel", "initrd", "root", "agent"}
	case "uefi", "bios", "uboot":
		return []string{"firmware", "loader", "kernel", "root", "agent"}
	}
	return []string{"firmware", "kernel", "root", "agent"}
}

// watcher finds out how far a machine is, from the text on its console and from
// the stages that the guest helper tells. Stages are told as soon as their
// times are known for sure: those of the kernel with the helper's own clock.
type watcher struct {
	out chan supervisor.Stage
	now func() time.Time
	// foreign is a system that slipway has not built: it may say nothing on its
	// console, and is there when it answers on its network.
	foreign bool
	// fetched is a machine whose firmware, kernel and initrd come over the
	// network: their stages are told by who served them.
	fetched bool

	mu     sync.Mutex
	order  []string
	at     int       // index of the stage that has not ended
	since  time.Time // when it began
	line   []byte    // the console's last, unfinished line
	told   map[string]bool
	failed error

	start   time.Time          // of the kernel, as well as it is known
	seconds map[string]float64 // since then
}

// newWatcher begins with the first stage of a target.
func newWatcher(target string, now func() time.Time) *watcher {
	return &watcher{
		out: make(chan supervisor.Stage, 32), now: now, order: order(target), since: now(),
		told: map[string]bool{}, seconds: map[string]float64{}, fetched: target == "netboot",
	}
}

// installed adds the stage that ends with a finished disk, from which the
// machine then starts.
func (w *watcher) installed() {
	w.order = slices.Insert(w.order, slices.Index(w.order, "root"), "install")
}

// sign is a text on the console by which a stage is recognised: it has begun.
type sign struct {
	stage string
	text  *regexp.Regexp
}

var signs = []sign{
	{"loader", regexp.MustCompile(`BdsDxe: starting Boot|GNU GRUB|Welcome to GRUB|GRUB loading|Booting bootflow |Retrieving file: |Booting from Hard Disk|EFI stub: |systemd-boot`)},
	{"kernel", regexp.MustCompile(`^(\[ +0\.000000\] )?Linux version `)},
}

// ends are texts after which nothing more comes.
var ends = []struct {
	text *regexp.Regexp
	say  string // %s: the submatch
}{
	{regexp.MustCompile(`Kernel panic - not syncing: (.+)`), "the kernel panicked: %s"},
	{regexp.MustCompile(`(BdsDxe: No bootable option|No bootable device|Boot failed: not a bootable disk)`), "the firmware found nothing to boot (%s)"},
	{regexp.MustCompile(`(UEFI Interactive Shell)`), "the firmware found nothing to boot (%s)"},
	{regexp.MustCompile(`^(=>) ?$`), "u-boot found nothing to boot and waits at its prompt (%s)"},
	{regexp.MustCompile(`^(grub rescue|grub)> ?$`), "GRUB found no way to start the kernel and waits at its prompt (%s)"},
}

var loginPrompt = regexp.MustCompile(`(^|[^ ] )login: ?$`)

// Write takes in what the console shows.
func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range p {
		if b != '\n' {
			if len(w.line) < 4096 {
				w.line = append(w.line, b)
			}
			continue
		}
		w.look(true)
		w.line = w.line[:0]
	}
	w.look(false)
	return len(p), nil
}

// look judges the present line; whole tells that it will not go on.
func (w *watcher) look(whole bool) {
	if len(w.line) == 0 {
		return
	}
	text := supervisor.PlainLine(string(w.line))
	for _, s := range signs {
		if s.text.MatchString(text) && !w.fetched {
			w.begun(s.stage, w.now())
		}
	}
	for i, e := range ends {
		if m := e.text.FindStringSubmatch(text); m != nil && (whole || i > 0) {
			w.fail(fmt.Errorf(e.say, strings.TrimSpace(m[1])))
		}
	}
	if !whole && w.at >= slices.Index(w.order, "root") && loginPrompt.MatchString(text) {
		w.tell("login", w.now())
	}
}

// begun notes that a stage has begun, and so that those before it have ended.
func (w *watcher) begun(stage string, at time.Time) {
	i := slices.Index(w.order, stage)
	if i <= w.at {
		return
	}
	if stage == "loader" {
		w.tell("firmware", at)
	}
	w.at, w.since = i, at
	if stage == "kernel" {
		w.start = at
	}
}

// Event takes in a stage that the guest has reached, with the seconds since
// its kernel began. The first events come late, with the port that carries
// them, so the kernel's start is the earliest that any of them tells of.
func (w *watcher) Event(text string) {
	name, number, _ := strings.Cut(text, " ")
	seconds, err := strconv.ParseFloat(number, 64)
	if err != nil || !(seconds >= 0 && seconds < 1e6) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if start := now.Add(-time.Duration(seconds * float64(time.Second))); w.start.IsZero() || start.Before(w.start) {
		w.start = start
	}
	w.seconds[name] = seconds
	switch name {
	case "kernel":
		root := slices.Index(w.order, "root")
		w.passed(w.order[root-1], now) // it runs, so it was received
		w.at, w.since = root, now
	case "root":
		w.at, w.since = slices.Index(w.order, "agent"), now
		w.settle()
	case "init":
		w.at = len(w.order)
	}
}

// Settle tells of the stages before the root as well as they are known.
func (w *watcher) Settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at > 0 && !w.start.IsZero() {
		w.settle()
	}
}

// settle tells of all stages up to the root with their times.
func (w *watcher) settle() {
	if i := slices.Index(w.order, "kernel"); !w.fetched {
		w.tell(w.order[i-1], w.start)
	}
	for _, name := range []string{"kernel", "root"} {
		if seconds, ok := w.seconds[name]; ok && !(w.fetched && name == "kernel") {
			w.tell(name, w.start.Add(time.Duration(seconds*float64(time.Second))))
		}
	}
}

// reachedNetwork notes that the machine answers on its network.
func (w *watcher) reachedNetwork() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tell("network", w.now())
}

// tell passes on the end of a stage, once.
func (w *watcher) tell(stage string, at time.Time) {
	if w.told[stage] {
		return
	}
	w.told[stage] = true
	select {
	case w.out <- supervisor.Stage{Name: stage, At: at}:
	default: // nobody has listened for long
	}
}

// consolePause is for the lines that follow the one that told of a failure.
const consolePause = 400 * time.Millisecond

// fail tells, a moment later, that nothing more will come.
func (w *watcher) fail(err error) {
	if w.failed != nil {
		return
	}
	w.failed = err
	if w.at > 0 && !w.start.IsZero() {
		w.settle()
	}
	stage := supervisor.Stage{Name: w.waiting(), Err: err}
	time.AfterFunc(consolePause, func() {
		select {
		case w.out <- stage:
		default:
		}
	})
}

// failure is why nothing more will come; nil: nothing is known.
func (w *watcher) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// waiting names the stage that has not ended.
func (w *watcher) waiting() string {
	if w.at >= len(w.order) {
		return "service"
	}
	return w.order[w.at]
}

// Waiting names the stage that has not ended, and how long it may still take.
func (w *watcher) Waiting() (string, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stage := w.waiting()
	limit, ok := patience[stage]
	if longer := netPatience[stage]; w.fetched && longer > 0 {
		limit = longer
	}
	if w.foreign {
		limit = foreignPatience
	}
	if d, err := time.ParseDuration(os.Getenv(testPatience)); ok && err == nil {
		limit = d
	}
	if !ok {
		return stage, time.Hour
	}
	return stage, limit - w.now().Sub(w.since)
}

// Stages tells of every stage as it ends.
func (w *watcher) Stages() <-chan supervisor.Stage { return w.out }
