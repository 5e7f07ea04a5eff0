package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"slipway/internal/sandbox"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Bridge is the name of the bridge inside the lab.
const Bridge = "slip0"

// Lab is a membership in the lab. Leave ends it.
type Lab struct {
	Subnets Subnets

	dir     string   // records of this lab
	root    bool     // made by root: no user namespace
	user    *os.File // nil as root
	net     *os.File
	hostNet *os.File // the host's network namespace, as root only
	member  *os.File // locked record
	inside  bool
}

// memberRecord says how others reach the namespaces a member holds open.
type memberRecord struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // field 22 of /proc/PID/stat: tells a reused id
	User  string `json:"user,omitempty"`
	Net   string `json:"net"`
}

// Join makes the caller a member of its user's lab, which is created when it
// has no members. It is called on the host, outside of any lab.
func Join(ctx context.Context, host *sandbox.Host) (*Lab, error) {
	dir, err := RuntimeDir()
	if err != nil {
		return nil, err
	}
	return JoinAt(ctx, host, filepath.Join(dir, "lab"))
}

// JoinAt is Join with a lab of its own in the folder dir.
func JoinAt(ctx context.Context, host *sandbox.Host, dir string) (*Lab, error) {
	l := &Lab{dir: dir, root: host.Root}
	for _, d := range []string{dir, l.memberDir(), l.machineDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("joining the lab: %w", err)
		}
	}
	lock, err := lockFile(ctx, l.lockPath())
	if err != nil {
		return nil, fmt.Errorf("joining the lab: %w", err)
	}
	defer lock.Close()
	if l.root {
		if l.hostNet, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return nil, fmt.Errorf("joining the lab: %w", err)
		}
	}
	if !l.adopt() {
		err = l.create(ctx, host)
	}
	if err == nil {
		err = readJSON(l.infoPath(), &l.Subnets)
	}
	if err == nil {
		err = l.register(fdLink(l.user), fdLink(l.net))
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("joining the lab: %w", err)
	}
	return l, nil
}

func (l *Lab) memberDir() string  { return filepath.Join(l.dir, "members") }
func (l *Lab) machineDir() string { return filepath.Join(l.dir, "machines") }
func (l *Lab) lockPath() string   { return filepath.Join(l.dir, "lock") }
func (l *Lab) infoPath() string   { return filepath.Join(l.dir, "lab.json") }

// Dir is the folder of the lab's records.
func (l *Lab) Dir() string { return l.dir }

// NetNS is the lab's network namespace, for handing on; it stays the Lab's.
func (l *Lab) NetNS() *os.File { return l.net }

// UserNS is the lab's user namespace; nil as root.
func (l *Lab) UserNS() *os.File { return l.user }

// fdLink names an open file of this process for other processes.
func fdLink(f *os.File) string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd())
}

// register writes the member's record.
func (l *Lab) register(user, net string) error {
	start, err := startTime(os.Getpid())
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%d-%s.member", os.Getpid(), rand.Text()[:8])
	l.member, err = createRecord(l.memberDir(), name, memberRecord{os.Getpid(), start, user, net})
	return err
}

// adopt opens the namespaces of a live member, if there is one.
func (l *Lab) adopt() bool {
	eachRecord(l.memberDir(), ".member", func(_ string, m memberRecord) {
		if l.net == nil {
			l.user, l.net = openNamespaces(m)
		}
	})
	return l.net != nil
}

func openNamespaces(m memberRecord) (user, net *os.File) {
	if start, err := startTime(m.PID); err != nil || start != m.Start {
		return nil, nil
	}
	if net = openNamespace(m.Net); net == nil || m.User == "" {
		return nil, net
	}
	if user = openNamespace(m.User); user == nil {
		net.Close()
		return nil, nil
	}
	return user, net
}

// nsfsMagic is the file system of namespace files (linux/magic.h).
const nsfsMagic = 0x6e736673

// openNamespace opens a namespace's file; nil when it is none.
func openNamespace(path string) *os.File {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil || st.Type != nsfsMagic {
		f.Close()
		return nil
	}
	return f
}

// startTime is the process's start in clock ticks since boot (proc(5), stat).
func startTime(pid int) (string, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	// The second field is the program's name in brackets and may hold anything.
	_, rest, _ := strings.Cut(string(data[strings.LastIndexByte(string(data), ')'):]), " ")
	f := strings.Fields(rest)
	if len(f) < 20 {
		return "", fmt.Errorf("reading /proc/%d/stat: %d fields", pid, len(f))
	}
	return f[19], nil
}

// create makes the namespaces and what belongs in them.
func (l *Lab) create(ctx context.Context, host *sandbox.Host) error {
	if err := l.repair(); err != nil {
		return err
	}
	subnets, err := chooseSubnets(machineSeed(host.UID), hostPrefixes())
	if err != nil {
		return err
	}
	p, err := host.StartWith(ctx, createWorker, subnets, sandbox.StartOptions{Net: true, HostUser: true})
	if err != nil {
		return err
	}
	defer p.Kill()
	if _, ready := <-p.Events(); !ready {
		return p.Wait()
	}
	if l.net, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", p.PID())); err != nil {
		return err
	}
	if !host.Root {
		if l.user, err = os.Open(fmt.Sprintf("/proc/%d/ns/user", p.PID())); err != nil {
			return err
		}
	}
	if err := p.CloseSend(); err != nil {
		return err
	}
	return errors.Join(p.Wait(), writeJSON(l.infoPath(), subnets))
}

// machineSeed keeps a user's lab the same over reboots of one host.
func machineSeed(uid int) string {
	id, _ := os.ReadFile("/etc/machine-id")
	return strings.TrimSpace(string(id)) + "/" + strconv.Itoa(uid)
}

// hostPrefixes are the networks the host knows: of its addresses and routes.
func hostPrefixes() []netip.Prefix {
	var list []netip.Prefix
	add := func(s string) {
		if p, err := netip.ParsePrefix(s); err == nil {
			list = append(list, p)
		}
	}
	addrs, _ := netlink.AddrList(nil, netlink.FAMILY_V4)
	for _, a := range addrs {
		add(a.IPNet.String())
	}
	routes, _ := netlink.RouteList(nil, netlink.FAMILY_V4)
	for _, r := range routes {
		if r.Dst != nil {
			add(r.Dst.String())
		}
	}
	return list
}

// Leave ends the membership. The last one to leave takes away what the lab had
// outside of its namespace; the namespace goes with its last user.
func (l *Lab) Leave() error {
	defer l.close()
	if l.member == nil {
		return nil
	}
	lock, err := lockFile(context.Background(), l.lockPath())
	if err != nil {
		return err
	}
	defer lock.Close()
	l.member.Close()
	l.member = nil
	return l.repair()
}

func (l *Lab) close() {
	for _, f := range []*os.File{l.member, l.user, l.net, l.hostNet} {
		if f != nil {
			f.Close()
		}
	}
	l.member, l.user, l.net, l.hostNet = nil, nil, nil, nil
}

// repair undoes what a lab without members has left, and does nothing when it
// has some. The caller holds the lock.
func (l *Lab) repair() error {
	if eachRecord(l.memberDir(), ".member", func(string, memberRecord) {}) > 0 {
		return nil
	}
	err := l.undoOutside()
	os.Remove(l.infoPath())
	eachRecord(l.machineDir(), ".machine", func(string, Machine) {}) // drops the dead
	for _, dir := range []string{l.memberDir(), l.machineDir()} {
		torn, _ := filepath.Glob(filepath.Join(dir, ".new-*"))
		for _, f := range torn {
			os.Remove(f)
		}
	}
	return err
}

// Repair undoes what a lab has left on the host when its members were killed:
// the translation table and the forwarding switch. It is cheap and does nothing
// to a lab that lives.
func Repair(ctx context.Context) error {
	dir, err := RuntimeDir()
	if err != nil {
		return err
	}
	return RepairAt(ctx, filepath.Join(dir, "lab"))
}

// RepairAt is Repair for the lab in dir.
func RepairAt(ctx context.Context, dir string) error {
	l := &Lab{dir: dir, root: os.Geteuid() == 0}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := lockFile(ctx, l.lockPath())
	if err != nil {
		return fmt.Errorf("repairing the lab: %w", err)
	}
	defer lock.Close()
	return l.repair()
}
