package wire

// PortName is the name of the virtio-serial port on which the helper of a
// virtual machine speaks. See Config for how a conversation begins.
const PortName = "slipway.agent"

// Version of the messages; both sides must agree.
const Version = 1

// Config is the first message to a guest helper that starts a machine: it says
// how to finish the machine's mounts and which program becomes its init. All
// paths but Root, Source and Device are inside the machine.
//
// A container's helper reads it from its inherited stream. A virtual machine's
// helper reads it from the port named PortName, for which it waits ten seconds
// once the port is connected (a host that says nothing gets a machine that
// starts as its image says); meanwhile it mounts the root that the kernel's
// command line names. The host sends it after the first event: firmware may
// have a driver for the port, and would take what was there before the helper.
// It uses Hostname, Init, Env, Mounts (of a Kind), Files,
// Mint, Network and Deadline. Events of kind stage may arrive before the host
// has sent anything. After the event agent the host opens streams. When a host
// connects to the port again later, it sends no second Config: the agent begins
// a new session with the event agent.
type Config struct {
	Version  int      `json:"version"`
	Root     string   `json:"root"` // a mount point that becomes the root
	Hostname string   `json:"hostname"`
	Init     []string `json:"init"` // empty: /sbin/init or what stands for it
	Env      []string `json:"env"`  // of init
	UUID     string   `json:"uuid"` // of this machine, 32 hex digits

	CgroupMount bool     `json:"cgroup_mount"` // mount a cgroup2 of its own
	Devices     []string `json:"devices"`      // host nodes to show under the same name
	Mounts      []Mount  `json:"mounts"`
	Files       []File   `json:"files"` // written before init starts
	Mint        []Mint   `json:"mint"`
	Deadline    int      `json:"deadline"` // seconds for an orderly end when the stream breaks

	Network []Interface `json:"network,omitempty"` // of a virtual machine
}

// Mount shows a folder or file of the host inside.
type Mount struct {
	// Kind is empty for a bind of a host path, which the helper reaches before
	// it leaves the host's root. In a virtual machine it is virtiofs or 9p, and
	// Source is the device's tag.
	Kind     string `json:"kind,omitempty"`
	Source   string `json:"source"`
	Path     string `json:"path"`
	ReadOnly bool   `json:"read_only"`
}

// Interface is a network card of a virtual machine that the helper sets up
// before init starts. Cards that are not named are left alone.
type Interface struct {
	MAC       string   `json:"mac"`                // 52:54:00:12:34:56
	Name      string   `json:"name,omitempty"`     // rename it; empty: as the kernel calls it
	Addresses []string `json:"addresses"`          // with prefix length: 10.0.0.2/24, fd00::2/64
	Gateways  []string `json:"gateways,omitempty"` // default routes, at most one of each family
	MTU       int      `json:"mtu,omitempty"`
}

// File is written into the running machine, never into its built tree.
type File struct {
	Path    string `json:"path"`
	Content string `json:"content"`
	Mode    uint32 `json:"mode"`
	Append  bool   `json:"append"` // keep what is there and add lines that are missing
}

// Mint is something that every machine makes for itself at its first start.
type Mint struct {
	Path    string   `json:"path"`    // exists: nothing to do; shell pattern
	Needs   string   `json:"needs"`   // program or folder without which there is nothing to do
	Command []string `json:"command"` // makes it
}

// Request opens a stream. Op selects the operation:
//
//	ping      answers
//	exec      runs Args; input, output and errors are the channels
//	read      sends the content of Path on the output channel
//	write     replaces Path by what comes on the input channel
//	stat      describes Path (without following a link)
//	list      describes the entries of the folder Path
//	mkdir     makes the folder Path with Mode, also its parents
//	symlink   makes the link Path that points to Target
//	remove    removes Path and all below
//	dial      connects to Network and Address; data both ways
//	console   the machine's console; data both ways
//	power     asks init to end: Target is poweroff or reboot
//
// A supervisor answers some more on its own socket; see package supervisor.
type Request struct {
	Op      string   `json:"op"`
	Args    []string `json:"args,omitempty"`
	Env     []string `json:"env,omitempty"` // added to the defined environment
	Dir     string   `json:"dir,omitempty"` // default /root, or / when that is missing
	TTY     bool     `json:"tty,omitempty"`
	Rows    int      `json:"rows,omitempty"`
	Cols    int      `json:"cols,omitempty"`
	Path    string   `json:"path,omitempty"`
	Target  string   `json:"target,omitempty"`
	Network string   `json:"network,omitempty"` // tcp or unix
	Address string   `json:"address,omitempty"` // IP:port, or a path
	Mode    uint32   `json:"mode,omitempty"`    // permission bits
	Follow  bool     `json:"follow,omitempty"`
	Lines   int      `json:"lines,omitempty"`
	MS      int      `json:"ms,omitempty"` // deadline in milliseconds; 0: none
}

// Control goes to a running exec.
type Control struct {
	Signal int `json:"signal,omitempty"` // Linux number, sent to the process group
	Rows   int `json:"rows,omitempty"`
	Cols   int `json:"cols,omitempty"`
}

// Reply ends a stream.
type Reply struct {
	Error   string `json:"error,omitempty"`
	Code    string `json:"code,omitempty"`   // not-exist, permission, not-found (a program), or empty
	Exit    int    `json:"exit,omitempty"`   // status of a command
	Signal  int    `json:"signal,omitempty"` // that ended it
	Stat    *Stat  `json:"stat,omitempty"`
	Entries []Stat `json:"entries,omitempty"`
	Data    []byte `json:"data,omitempty"` // what a supervisor's operation answers, JSON
}

// Stat describes a file.
type Stat struct {
	Name   string `json:"name"`
	Type   string `json:"type"` // file, dir, symlink, other
	Mode   uint32 `json:"mode"` // permission bits with setuid, setgid, sticky as in st_mode
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Size   int64  `json:"size"`
	MTime  int64  `json:"mtime"` // seconds
	Target string `json:"target,omitempty"`
}

// Event is news from the guest without a question.
type Event struct {
	// Kind is error (the machine cannot start), agent (the guest helper
	// answers; Text is the kind of init), init (process 1 is the machine's own),
	// notify (a line that init sent to NOTIFY_SOCKET), warning (something that
	// did not keep the machine from starting), or stage: Text is the stage that
	// a virtual machine has reached and the time on its clock since the kernel
	// started, in seconds, such as "root 1.234". The stages are kernel (the
	// helper runs), root (the root is mounted), agent and init.
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// RemoteError is what the peer reported.
type RemoteError struct {
	Message string
	Code    string
}

func (e *RemoteError) Error() string { return e.Message }
