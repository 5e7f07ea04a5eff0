package apply

import (
	"context"
	"fmt"

	"slipway/internal/machine"
)

// Env is what Apply needs from outside the tree.
type Env struct {
	// Run runs a command in the tree by /bin/sh -c, as the machine's root.
	Run func(ctx context.Context, c machine.Command) error
	// Fetch returns the path of a file on the host with the content of a URL,
	// already verified against the SHA-256.
	Fetch func(ctx context.Context, url, sha256 string) (string, error)
	// Secret returns a secret's value; nil reads its file or environment.
	Secret func(s machine.Secret) ([]byte, error)
	// Chown replaces the change of ownership, for tests without root. The path
	// is the machine's. Nil means the real thing.
	Chown func(path string, uid, gid int) error
	// IDs are ids that names had before (from the lock), so that adding a
	// user never moves another's.
	IDs map[string]int
	// Init is what the machine boots with: systemd, openrc, busybox or none.
	// Empty: what is found in the tree.
	Init string
	// Family is the packaging family: deb (the default), apk and so on.
	Family string
	// Container tells that the tree is a container's, which sets no clock.
	Container bool
	// Date is the date of the lock in seconds since the epoch; it is written
	// where a tool would write today's.
	Date int64
}

// job is one application of a definition to a tree.
type job struct {
	*root
	dir string // of the tree
	def *machine.Definition
	env Env
}

// Apply writes everything but the secrets of a definition into the tree at
// root. It stops at the first error; the tree is then half done and must be
// thrown away.
func Apply(ctx context.Context, rootDir string, d *machine.Definition, env Env) error {
	return with(rootDir, d, env, func(j *job) error {
		for _, s := range steps {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.do(ctx, j); err != nil {
				return fmt.Errorf("applying %s: %w", s.key, err)
			}
		}
		return nil
	})
}

// steps is the table of keys in the order in which they are applied: names
// before the files they own, files before the services they may define, and
// commands when everything else is there.
var steps = []struct {
	key string
	do  func(context.Context, *job) error
}{
	{"slim", applySlim},
	{"users", applyUsers},
	{"files", applyFiles},
	{"hostname", applyHostname},
	{"timezone", applyTimezone},
	{"locale", applyLocale},
	{"sysctl", applySysctl},
	{"mounts", applyMounts},
	{"network", applyNetwork},
	{"time", applyTime},
	{"services", applyServices},
	{"run", applyRun},
}

// ApplySecrets writes the secrets of a definition (files with secret:,
// password hashes). They belong into the last layer, which is never exported.
func ApplySecrets(ctx context.Context, rootDir string, d *machine.Definition, env Env) error {
	return with(rootDir, d, env, func(j *job) error {
		if err := secretFiles(ctx, j); err != nil {
			return fmt.Errorf("applying files: %w", err)
		}
		if err := passwords(j); err != nil {
			return fmt.Errorf("applying users: %w", err)
		}
		return nil
	})
}

// HasSecrets tells whether ApplySecrets would write anything.
func HasSecrets(d *machine.Definition) bool {
	for _, f := range d.Files {
		if f.Secret != nil {
			return true
		}
	}
	for _, u := range d.Users {
		if u.Password != nil {
			return true
		}
	}
	return false
}

func with(rootDir string, d *machine.Definition, env Env, do func(*job) error) error {
	r, err := openRoot(rootDir, env.Chown)
	if err != nil {
		return err
	}
	defer r.close()
	j := &job{root: r, dir: rootDir, def: d, env: env}
	if j.env.Init == "" {
		j.env.Init = j.findInit()
	}
	if j.env.Family == "" {
		j.env.Family = "deb"
	}
	return do(j)
}

// findInit tells the init system from what the tree holds.
func (j *job) findInit() string {
	switch {
	case j.def.Init == "none":
		return "none"
	case j.exists("/usr/lib/systemd/systemd"):
		return "systemd"
	case j.exists("/sbin/openrc"):
		return "openrc"
	}
	return "none"
}

func applyRun(ctx context.Context, j *job) error {
	for _, c := range j.def.Run {
		if err := j.run(ctx, c); err != nil {
			return fmt.Errorf("%srunning %q: %w", at(c.Pos), c.Command, err)
		}
	}
	return nil
}

// run runs a command in the tree.
func (j *job) run(ctx context.Context, c machine.Command) error {
	if j.env.Run == nil {
		return fmt.Errorf("there is no sandbox to run it in")
	}
	return j.env.Run(ctx, c)
}

// at is a position as the start of a message.
func at(p machine.Position) string {
	if p.Line == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
}
