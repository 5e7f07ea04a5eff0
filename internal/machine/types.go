// Package machine holds the definition of a machine: the YAML file that says
// what it is, where it lives and how it starts and is reached.
//
// The package knows structure only: types, strict loading with positions,
// includes, conditions, validation and the JSON Schema. It knows no packages
// and starts nothing. The keys are specified in docs/design.md, section 3.
package machine

import "time"

// Definition is one loaded definition after includes, conditions and
// overrides were applied. Paths are absolute; an absent key is a zero value.
type Definition struct {
	Slipway      string            `yaml:"slipway"` // format version, "v1"
	Name         string            `yaml:"name"`    // a host label
	System       string            `yaml:"system"`  // "debian/trixie"
	Arch         string            `yaml:"arch"`    // Debian-style name; default: the host's
	Include      []string          `yaml:"include"`
	Replace      []string          `yaml:"replace"`
	When         []Condition       `yaml:"when"`
	Init         string            `yaml:"init"` // auto, systemd, openrc, busybox, none or an absolute path
	Base         string            `yaml:"base"` // the family's base set
	Packages     []string          `yaml:"packages"`
	Recommends   bool              `yaml:"recommends"`
	Repositories []Repository      `yaml:"repositories"`
	Mirror       Mirror            `yaml:"mirror"`
	Sources      Mirror            `yaml:"sources"` // what the machine's own package manager is told; default: the official archive
	Debconf      map[string]string `yaml:"debconf"` // "owner/question": value
	Files        []File            `yaml:"files"`
	Users        []User            `yaml:"users"`
	Services     Services          `yaml:"services"`
	Hostname     string            `yaml:"hostname"`
	Timezone     string            `yaml:"timezone"`
	Locale       string            `yaml:"locale"`
	Sysctl       map[string]string `yaml:"sysctl"`
	Mounts       []Mount           `yaml:"mounts"`
	Network      []Network         `yaml:"network"`
	Run          []Command         `yaml:"run"`
	Hooks        Hooks             `yaml:"hooks"`
	State        []string          `yaml:"state"` // absolute paths that survive rebuilds
	Container    Container         `yaml:"container"`
	Ports        []Port            `yaml:"ports"`
	Outside      bool              `yaml:"outside"` // may the machine reach beyond the lab
	Restart      string            `yaml:"restart"` // never, on-failure, always
	Probes       []Probe           `yaml:"probes"`

	// File is the absolute path of the file that was loaded.
	File string `yaml:"-"`
	// Set tells which top-level keys were given anywhere, with their position
	// (of the last file that gave them), so that "absent" differs from "zero".
	Set map[string]Position `yaml:"-"`
}

// Position is a place in a definition file; lines and columns count from 1.
type Position struct {
	File   string
	Line   int
	Column int
}

// Condition is a conditional part: the selectors (system, arch, name,
// init: shell patterns) must all match, then the rest merges like an include.
type Condition map[string]any

// Repository is a further archive in the family's own terms (deb:
// url, suite, components, signed_by).
type Repository struct {
	URL        string   `yaml:"url"`
	Suite      string   `yaml:"suite"`
	Components []string `yaml:"components"`
	SignedBy   string   `yaml:"signed_by"` // path of an OpenPGP key file, absolute after loading
	Name       string   `yaml:"name"`
	Priority   int      `yaml:"priority"` // apt pin priority; 0: the family's default
}

// Mirror is a transport address: one string, or main and security apart.
// None means that only Repositories are used.
type Mirror struct {
	None     bool
	Main     string
	Security string
}

// File puts one file, or a folder's content, into the tree.
type File struct {
	Path    string   `yaml:"path"`    // absolute, in the machine; a trailing slash means a folder
	Content *string  `yaml:"content"` // literal content
	From    *From    `yaml:"from"`
	Link    string   `yaml:"link"`  // makes a symbolic link with this target
	Owner   string   `yaml:"owner"` // "user:group", names or numbers; default root:root
	Mode    string   `yaml:"mode"`  // quoted octal; default 0644, folders 0755
	Secret  *Secret  `yaml:"secret"`
	Pos     Position `yaml:"-"`
}

// From names a source outside the definition: a path, or a mapping with file
// or url and the SHA-256 that its content must have (required for a url).
type From struct {
	File   string `yaml:"file"` // absolute after loading
	URL    string `yaml:"url"`
	SHA256 string `yaml:"sha256"`
}

// Secret refers to a value that never stands in a definition.
type Secret struct {
	File string `yaml:"file"` // absolute after loading
	Env  string `yaml:"env"`
}

// User is an account made at build time.
type User struct {
	Name     string    `yaml:"name"`
	UID      *int      `yaml:"uid"`
	Group    string    `yaml:"group"` // primary group; default: one of the user's own name
	Groups   []string  `yaml:"groups"`
	Home     string    `yaml:"home"`
	Shell    string    `yaml:"shell"`
	System   bool      `yaml:"system"`
	Comment  string    `yaml:"comment"`
	Sudo     string    `yaml:"sudo"`     // "", nopasswd, or password
	SSHKeys  []string  `yaml:"ssh_keys"` // a path (absolute after loading) or a literal public key
	Password *Password `yaml:"password"`
	Pos      Position  `yaml:"-"`
}

// Password is a crypt(3) hash kept outside the definition.
type Password struct {
	HashFile string `yaml:"hash_file"` // absolute after loading
	HashEnv  string `yaml:"hash_env"`
}

// Services says what init starts.
type Services struct {
	Enable  []string `yaml:"enable"`
	Disable []string `yaml:"disable"`
}

// Mount is one line of the machine's fstab.
type Mount struct {
	What    string `yaml:"what"`
	Where   string `yaml:"where"`
	Type    string `yaml:"type"`
	Options string `yaml:"options"`
}

// Network configures the interfaces that match.
type Network struct {
	Match   string   `yaml:"match"` // space-separated shell patterns of interface names
	DHCP    bool     `yaml:"dhcp"`
	Address []string `yaml:"address"` // CIDR
	Gateway string   `yaml:"gateway"`
	DNS     []string `yaml:"dns"`
}

// Command is a build-time command; in YAML a string (run by /bin/sh -c) or
// {command, network: true}.
type Command struct {
	Command string   `yaml:"command"`
	Network bool     `yaml:"network"`
	Pos     Position `yaml:"-"`
}

// Hooks are host-side-free commands at fixed moments of a build: essential
// runs in the tree when the base is configured, customize at the end.
type Hooks struct {
	Essential []Command `yaml:"essential"`
	Customize []Command `yaml:"customize"`
}

// Container is what only the container target needs.
type Container struct {
	Binds   []Bind   `yaml:"binds"`
	Devices []string `yaml:"devices"` // host device nodes, shell patterns allowed
	Limits  Limits   `yaml:"limits"`
}

// Bind shows a host path inside; in YAML "host:inside[:ro]" or a mapping.
type Bind struct {
	Host     string `yaml:"host"` // absolute after loading
	Path     string `yaml:"path"`
	ReadOnly bool   `yaml:"read_only"`
}

// Limits bound a running container; zero means none.
type Limits struct {
	Memory Size    `yaml:"memory"`
	CPUs   float64 `yaml:"cpus"`
	Tasks  int     `yaml:"tasks"`
}

// Size is a number of bytes; in YAML written with a unit (K, M, G, T: powers of 1024).
type Size int64

// Port forwards a host port; in YAML "host:machine" or "address:host:machine", optionally "/udp".
// Without an address it answers on 127.0.0.1 and ::1.
type Port struct {
	Address string
	Host    int
	Machine int
	UDP     bool
}

// Probe is one check of a running machine. Exactly one of the kinds is set.
type Probe struct {
	Name   string        `yaml:"name"`
	Within time.Duration `yaml:"within"` // deadline; default 30s
	Every  time.Duration `yaml:"every"`  // pace of retries; default 250ms
	After  string        `yaml:"after"`  // name of a probe that must have held first
	Fails  bool          `yaml:"fails"`  // the check is expected to fail

	HTTP          *HTTPProbe    `yaml:"http"`
	TCP           *TCPProbe     `yaml:"tcp"` // a port, or a mapping
	UDP           *TCPProbe     `yaml:"udp"`
	DNS           *DNSProbe     `yaml:"dns"`
	TLS           *TLSProbe     `yaml:"tls"`
	SSH           *SSHProbe     `yaml:"ssh"`
	Login         *LoginProbe   `yaml:"login"`
	Command       string        `yaml:"command"` // run inside by /bin/sh -c; Stdout, Stderr and Exit belong to it
	Stdout        *string       `yaml:"stdout"`  // the whole standard output, a final newline apart
	Stderr        *string       `yaml:"stderr"`
	Contains      string        `yaml:"contains"` // standard output contains it
	Exit          *int          `yaml:"exit"`
	FileCheck     *FileProbe    `yaml:"file"`
	Unit          *UnitProbe    `yaml:"unit"`
	Log           *LogProbe     `yaml:"log"`
	PortClosed    int           `yaml:"port_closed"`
	NoFailedUnits bool          `yaml:"no_failed_units"`
	Updates       *UpdatesProbe `yaml:"updates"` // true, or a mapping
	Limit         *LimitProbe   `yaml:"limit"`

	Pos Position `yaml:"-"`
}

// HTTPProbe requests URL; the host name "machine" stands for the machine.
type HTTPProbe struct {
	URL      string            `yaml:"url"`
	Method   string            `yaml:"method"`
	Status   int               `yaml:"status"` // default 200
	Contains string            `yaml:"contains"`
	Header   map[string]string `yaml:"header"` // expected response headers
	JSON     map[string]any    `yaml:"json"`   // dotted path: expected value
	Verify   *bool             `yaml:"verify"` // https: verify the certificate; default true
}

// TCPProbe connects, and may send and expect text. For udp, Expect is required.
type TCPProbe struct {
	Port   int    `yaml:"port"`
	Host   string `yaml:"host"` // default: the machine
	Send   string `yaml:"send"`
	Expect string `yaml:"expect"` // contained in what comes back
}

// DNSProbe asks a name server for a record.
type DNSProbe struct {
	Server string `yaml:"server"` // default: the machine, port 53
	Name   string `yaml:"name"`
	Type   string `yaml:"type"`   // default A
	Answer string `yaml:"answer"` // one answer equals it
}

// TLSProbe makes a TLS handshake.
type TLSProbe struct {
	Port       int    `yaml:"port"`
	ServerName string `yaml:"server_name"`
	Verify     *bool  `yaml:"verify"` // default true
	CA         string `yaml:"ca"`     // a PEM file on the host
	DaysLeft   int    `yaml:"days_left"`
}

// SSHProbe logs in and may run a command.
type SSHProbe struct {
	Port    int    `yaml:"port"` // default 22
	User    string `yaml:"user"` // default root
	Key     string `yaml:"key"`  // private key file on the host; default: the machine's generated key
	Command string `yaml:"command"`
	Expect  string `yaml:"expect"`
}

// LoginProbe logs in on a terminal of the machine.
type LoginProbe struct {
	User     string  `yaml:"user"`
	Password *Secret `yaml:"password"`
	Expect   string  `yaml:"expect"`
}

// FileProbe looks at a file inside.
type FileProbe struct {
	Path     string  `yaml:"path"`
	Exists   *bool   `yaml:"exists"` // default true
	Contains string  `yaml:"contains"`
	Content  *string `yaml:"content"`
	Mode     string  `yaml:"mode"`
	Owner    string  `yaml:"owner"`
	SHA256   string  `yaml:"sha256"`
}

// UnitProbe looks at a service of the init system.
type UnitProbe struct {
	Name  string `yaml:"name"`
	State string `yaml:"state"` // default active
}

// LogProbe looks for text in the machine's log (journal or syslog) or in a file.
type LogProbe struct {
	Unit     string `yaml:"unit"`
	File     string `yaml:"file"`
	Contains string `yaml:"contains"`
	Absent   string `yaml:"absent"`
}

// UpdatesProbe checks that security sources are present and nothing is pending as of the lock's date.
type UpdatesProbe struct {
	Pending *int `yaml:"pending"` // at most so many; default 0
}

// LimitProbe bounds what the running machine uses.
type LimitProbe struct {
	Memory Size          `yaml:"memory"` // in use by the machine
	Disk   Size          `yaml:"disk"`   // written since it was built
	Size   Size          `yaml:"size"`   // of the built tree
	Uptime time.Duration `yaml:"uptime"` // reached "up" within
}
