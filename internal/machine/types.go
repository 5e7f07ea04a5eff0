package machine

// Definition is one loaded definition after includes, conditions and
// overrides were applied. Paths of the host are absolute; an absent key is a
// zero value or its default, and Set tells which keys were given.
//
// The struct tags are the one source of the loader's checks, the JSON Schema
// and the key documentation: doc (text), default, example, check (a rule of
// rules.go), keycheck (the same for a mapping's keys), required, require (keys
// that this field's mapping must have), path:"host" (made absolute) and remove
// ("-name" entries are understood).
type Definition struct {
	Slipway        string            `yaml:"slipway" check:"format" example:"v1" doc:"Version of the definition format."`
	Name           string            `yaml:"name" check:"label" example:"web" doc:"Name of the machine, a host label. A running machine is addressed by it."`
	System         string            `yaml:"system" check:"system" example:"debian/trixie" doc:"Distribution and release; linux for any other, with its root archive in from."`
	Arch           string            `yaml:"arch" check:"arch" default:"the host's" example:"amd64" doc:"Architecture, by its Debian name."`
	Board          string            `yaml:"board" check:"board" example:"rock64" doc:"Board that the machine is for: one that slipway knows (slipway schema lists them), or the path of a file like theirs, which is merged below this one."`
	Include        []string          `yaml:"include" check:"hostpath" path:"host" example:"[base.yaml]" doc:"Definition files that are merged below this one: mappings merge, lists append, other values give way to this file's."`
	Replace        []string          `yaml:"replace" example:"[packages]" doc:"Keys (dotted) whose value in this file stands alone instead of being merged."`
	When           []Condition       `yaml:"when" example:"[{system: \"alpine/*\", packages: [nginx]}]" doc:"Conditional parts: the selectors system, arch, name and init (shell patterns, one or a list) must all match; then the rest is merged above this file."`
	Init           string            `yaml:"init" check:"init" default:"auto" example:"systemd" doc:"The first process: auto (the distribution's own), systemd, openrc, busybox, none (nothing is implied), or the absolute path of a program."`
	Base           string            `yaml:"base" check:"base" default:"the family's: minbase, alpine-base" example:"essential" doc:"The family's base set; for deb: essential, apt, required, minbase, buildd, important or standard; for apk: alpine-base, minirootfs or empty."`
	Packages       []string          `yaml:"packages" check:"package" path:"deb" remove:"true" default:"none" example:"[nginx-light, \"curl=8.*\", \"git/trixie-backports\", ./local.deb]" doc:"Packages: a name, name=version (patterns allowed), name/suite (for apk: name/tag), what else the family's tools take (\"so:libssl.so.3\", \"nginx~1.24\", \"!mdev-conf\"), or the path of a local package. \"-name\" removes one that an included file lists."`
	Recommends     bool              `yaml:"recommends" default:"false" example:"true" doc:"Install recommended packages too."`
	Repositories   []Repository      `yaml:"repositories" default:"none" doc:"Further archives, in the family's own terms. Security and updates are always on."`
	Components     []string          `yaml:"components" check:"word" default:"[main]; Ubuntu's: [main, universe]" example:"[main, non-free-firmware]" doc:"Components of the distribution's own archive (deb)."`
	Mirror         Mirror            `yaml:"mirror" default:"the host's, if it runs the same distribution, else the official address" example:"http://ftp.debian.org/debian" doc:"Where packages are fetched from; none: only the repositories."`
	Sources        Mirror            `yaml:"sources" default:"the official address" doc:"What the machine's own package manager is told to use."`
	Debconf        map[string]string `yaml:"debconf" keycheck:"question" default:"none" example:"{postfix/main_mailer_type: \"Local only\"}" doc:"Answers to debconf questions, owner/question: value."`
	Files          []File            `yaml:"files" default:"none" doc:"Files and folders put into the tree."`
	Users          []User            `yaml:"users" default:"none" doc:"Accounts made at build time."`
	Services       Services          `yaml:"services" doc:"What init starts."`
	Hostname       string            `yaml:"hostname" check:"hostname" default:"unset" example:"web" doc:"Host name written into the tree."`
	Timezone       string            `yaml:"timezone" check:"timezone" default:"the distribution's" example:"Europe/Zurich" doc:"Time zone by its IANA name."`
	Locale         string            `yaml:"locale" check:"locale" default:"the distribution's" example:"C.UTF-8" doc:"System locale."`
	Sysctl         map[string]string `yaml:"sysctl" keycheck:"sysctl" default:"none" example:"{net.ipv4.ip_forward: 1}" doc:"Kernel settings applied at start."`
	Mounts         []Mount           `yaml:"mounts" default:"none" doc:"Lines of the machine's fstab."`
	Network        []Network         `yaml:"network" default:"none; DHCP with netboot" doc:"Configuration of the machine's interfaces."`
	NetworkBackend string            `yaml:"network_backend" check:"netbackend" default:"auto" example:"networkmanager" doc:"Which program configures the interfaces: networkd, ifupdown (on Alpine ifupdown-ng), networkmanager or busybox (its ifup); auto: what the init and the packages suggest."`
	Resolver       string            `yaml:"resolver" check:"resolver" default:"auto" example:"resolved" doc:"Who writes /etc/resolv.conf: resolved (systemd-resolved), resolvconf, or static (a file with the name servers of network); auto: the backend as it comes."`
	Time           Time              `yaml:"time" example:"{service: chrony, servers: [ntp.example.org]}" doc:"Who keeps the machine's clock right. In containers it is the host's, and no service is started."`
	Run            []Command         `yaml:"run" default:"none" example:"[nginx -t]" doc:"Commands run in the machine at build time, in order, without network unless asked."`
	Hooks          Hooks             `yaml:"hooks" doc:"Commands at fixed moments of a build."`
	State          []string          `yaml:"state" check:"statepath" remove:"true" default:"none" example:"[/var/lib/data]" doc:"Folders of the machine that survive rebuilds."`
	Kernel         []Kernel          `yaml:"kernel" default:"{package: auto}" example:"{package: auto, cmdline: [quiet]}" doc:"Kernel of the machine; a mapping, or a list of them for a menu. Containers have none."`
	Disk           Disk              `yaml:"disk" doc:"Layout of the machine's disk."`
	Boot           Boot              `yaml:"boot" doc:"How the machine boots."`
	VM             VM                `yaml:"vm" doc:"What only virtual machines need."`
	Netboot        *Netboot          `yaml:"netboot" example:"{mode: ram, match: {mac: \"52:54:00:04:04:03\"}}" doc:"How the machine starts and is installed over the network."`
	Shares         []Share           `yaml:"shares" default:"none" example:"[{host: ./shared, path: /srv/shared}]" doc:"Folders of the host shown in the machine; several machines may share one."`
	From           *From             `yaml:"from" example:"./rootfs.tar.xz" doc:"Root archive (.tar, .tar.gz, .tar.xz, .tar.zst) that takes the place of base and packages; or the disk image of a stock cloud system to start, instead of building one."`
	Slim           []string          `yaml:"slim" check:"slim" remove:"true" default:"none" example:"[docs, man, locales, apt_lists]" doc:"What is left out of the tree: docs (but copyright files), man, info, locales (but C and the machine's own), apt_lists."`
	MaxSize        Size              `yaml:"max_size" default:"none" example:"400M" doc:"Largest size of the tree's files; more is an error that names the largest."`
	Container      Container         `yaml:"container" doc:"What only the container target needs."`
	Ports          []Port            `yaml:"ports" default:"none" example:"[\"8080:80\"]" doc:"Host ports that reach the machine: host:machine or address:host:machine, with /udp for UDP."`
	Outside        bool              `yaml:"outside" default:"false" example:"true" doc:"May the running machine reach beyond the lab."`
	Restart        string            `yaml:"restart" check:"restart" default:"never" example:"on-failure" doc:"What happens when the machine ends by itself: never, on-failure or always."`
	Probes         []Probe           `yaml:"probes" default:"none" doc:"Checks of the running machine, which make the proof."`

	// File is the absolute path of the file that was loaded. Include holds
	// the absolute paths of the files merged below it, lowest first; Board,
	// Replace and When are empty after loading.
	File string `yaml:"-"`
	// Listed is the absolute path of the list that the machine stands in; empty: none.
	Listed string `yaml:"-"`
	// Set tells which top-level keys were given anywhere, with their position
	// (of the last file that gave them), so that "absent" differs from "zero".
	Set map[string]Position `yaml:"-"`

	positions map[string]Position // dotted path: place of the value
	relative  map[string]string   // absolute host path: as it was written, if relative
}

// Condition is a conditional part: the selectors (system, arch, name,
// init: shell patterns) must all match, then the rest merges like an include.
type Condition map[string]any

// Repository is a further archive in the family's own terms (deb:
// url, suite, components, signed_by).
type Repository struct {
	URL        string   `yaml:"url" required:"true" check:"url" example:"https://packages.example.org/debian" doc:"Base address of the archive: http, https or file."`
	Suite      string   `yaml:"suite" check:"word" example:"trixie" doc:"Suite (deb); one that ends with a slash is a flat archive."`
	Components []string `yaml:"components" check:"word" example:"[main]" doc:"Components (deb)."`
	SignedBy   string   `yaml:"signed_by" check:"hostpath" path:"host" example:"./example.asc" doc:"Key file that must have signed the archive's index: OpenPGP for deb, an RSA public key for apk, whose file's name the signature names."`
	Name       string   `yaml:"name" check:"word" example:"extra" doc:"Name of the repository (pacman and rpm; deb: name of the sources file; apk: its tag, by which alone packages come from it)."`
	Priority   int      `yaml:"priority" check:"priority" default:"the family's" example:"100" doc:"apt pin priority."`
}

// Mirror is a transport address: one string, or main and security apart.
// None means that only Repositories are used.
type Mirror struct {
	None     bool   `yaml:"-"`
	Main     string `yaml:"main" required:"true" check:"url" example:"http://ftp.debian.org/debian" doc:"Base address of the distribution's archive."`
	Security string `yaml:"security" check:"url" default:"main with -security added; Ubuntu's: main, then that" example:"http://security.debian.org/debian-security" doc:"Base address of its security archive."`
}

// File puts one file, or a folder's content, into the tree.
type File struct {
	Path    string   `yaml:"path" required:"true" check:"filepath" example:"/etc/motd" doc:"Absolute path in the machine; a trailing slash means a folder."`
	Content *string  `yaml:"content" example:"\"hello\\n\"" doc:"Literal content."`
	From    *From    `yaml:"from" example:"./motd" doc:"Source of the content: a path, or file or url with its sha256."`
	Link    string   `yaml:"link" check:"linktarget" example:"../run/motd" doc:"Make a symbolic link with this target."`
	Owner   string   `yaml:"owner" check:"owner" default:"root:root" example:"\"www-data:www-data\"" doc:"user:group, names or numbers."`
	Mode    string   `yaml:"mode" check:"mode" default:"0644, folders 0755, secrets 0600" example:"\"0640\"" doc:"Permissions, a quoted octal number."`
	Secret  *Secret  `yaml:"secret" doc:"Content that never stands in a definition."`
	Pos     Position `yaml:"-"`
}

// From names a source outside the definition: a path, or a mapping with file,
// tree or url and the SHA-256 that its content must have (required for a url).
type From struct {
	File   string `yaml:"file" check:"hostpath" path:"host" example:"./motd" doc:"File or folder on the host."`
	Tree   string `yaml:"tree" check:"abspath" example:"/usr/lib/u-boot/rock64-rk3328/u-boot.itb" doc:"File of the machine itself, as its packages brought it; for raw bytes on its disk only."`
	URL    string `yaml:"url" check:"url" example:"https://example.org/motd" doc:"Address to fetch it from."`
	SHA256 string `yaml:"sha256" check:"sha256" doc:"SHA-256 that the content must have; required for a url."`
}

// Secret refers to a value that never stands in a definition.
type Secret struct {
	File string `yaml:"file" check:"hostpath" path:"host" example:"./secret" doc:"File on the host that holds the secret."`
	Env  string `yaml:"env" check:"env" example:"WEB_SECRET" doc:"Environment variable that holds the secret."`
}

// User is an account made at build time.
type User struct {
	Name     string    `yaml:"name" required:"true" check:"user" example:"ops" doc:"Name of the account."`
	UID      *int      `yaml:"uid" check:"uid" default:"the next free one" example:"1500" doc:"Numeric id."`
	Group    string    `yaml:"group" check:"user" default:"one of the user's own name" example:"users" doc:"Primary group."`
	Groups   []string  `yaml:"groups" check:"user" default:"none" example:"[sudo]" doc:"Further groups."`
	Home     string    `yaml:"home" check:"abspath" default:"/home/NAME" example:"/srv/ops" doc:"Home folder."`
	Shell    string    `yaml:"shell" check:"abspath" default:"the distribution's; system accounts cannot log in" example:"/bin/bash" doc:"Login shell."`
	System   bool      `yaml:"system" default:"false" example:"true" doc:"Make a system account."`
	Comment  string    `yaml:"comment" check:"comment" default:"empty" example:"Operations" doc:"Full name or purpose."`
	Sudo     string    `yaml:"sudo" check:"sudo" default:"no rights" example:"nopasswd" doc:"May become root through sudo: nopasswd or password."`
	SSHKeys  []string  `yaml:"ssh_keys" check:"sshkey" path:"key" default:"none" example:"[./ops.pub]" doc:"Public keys for ssh: the path of a key file, or the key itself."`
	Password *Password `yaml:"password" default:"locked" example:"{hash_file: ./ops.hash}" doc:"crypt(3) hash of the password, kept outside the definition."`
	Pos      Position  `yaml:"-"`
}

// Password is a crypt(3) hash kept outside the definition.
type Password struct {
	HashFile string `yaml:"hash_file" check:"hostpath" path:"host" example:"./ops.hash" doc:"File on the host that holds the hash."`
	HashEnv  string `yaml:"hash_env" check:"env" example:"OPS_HASH" doc:"Environment variable that holds the hash."`
}

// Services says what init starts.
type Services struct {
	Enable  []string `yaml:"enable" check:"service" remove:"true" default:"none" example:"[nginx]" doc:"Services that start with the machine."`
	Disable []string `yaml:"disable" check:"service" remove:"true" default:"none" example:"[apt-daily.timer]" doc:"Services that do not, though their package would start them."`
}

// Mount is one line of the machine's fstab.
type Mount struct {
	What    string `yaml:"what" required:"true" check:"fstab" example:"tmpfs" doc:"Device, label, or source of the file system."`
	Where   string `yaml:"where" required:"true" check:"mountpoint" example:"/srv/cache" doc:"Mount point, or none for swap."`
	Type    string `yaml:"type" check:"fstab" default:"auto" example:"tmpfs" doc:"Type of the file system."`
	Options string `yaml:"options" check:"fstab" default:"defaults" example:"size=64M" doc:"Mount options, separated by commas."`
}

// Network configures the interfaces that match.
type Network struct {
	Match   string   `yaml:"match" required:"true" check:"interfaces" example:"\"en* eth* host0\"" doc:"Interface names, shell patterns separated by spaces."`
	DHCP    bool     `yaml:"dhcp" default:"false" example:"true" doc:"Ask for addresses."`
	Address []string `yaml:"address" check:"cidr" default:"none" example:"[192.0.2.10/24]" doc:"Fixed addresses with prefix length."`
	Gateway string   `yaml:"gateway" check:"ip" example:"192.0.2.1" doc:"Default gateway."`
	DNS     []string `yaml:"dns" check:"ip" default:"none" example:"[192.0.2.1]" doc:"Name servers."`
	// Gateway6 is beside Gateway because a machine may have one of each family.
	Gateway6 string `yaml:"gateway6" check:"ip" example:"2001:db8::1" doc:"Default gateway of IPv6, beside one of IPv4."`
	Bond     *Bond  `yaml:"bond" doc:"Make the interface that match names out of several."`
}

// Time says who keeps the machine's clock right.
type Time struct {
	Service string   `yaml:"service" check:"timeservice" default:"auto" example:"chrony" doc:"The service: timesyncd, chrony, openntpd, ntpd (busybox's) or none; auto: with servers, the family's own."`
	Servers []string `yaml:"servers" check:"host" default:"the package's" example:"[ntp.example.org]" doc:"Time servers, by name or address, in place of those that the package brings."`
}

// Bond joins interfaces into one.
type Bond struct {
	Members []string          `yaml:"members" required:"true" check:"ifname" example:"[enp1s0f0, enp1s0f1]" doc:"Interfaces that are joined, by their names."`
	Mode    string            `yaml:"mode" check:"bondmode" default:"active-backup" example:"802.3ad" doc:"How they share the traffic."`
	Options map[string]string `yaml:"options" keycheck:"bondoption" default:"the kernel's" example:"{miimon: \"100\", lacp_rate: fast, xmit_hash_policy: layer3+4}" doc:"Options of the kernel's bonding driver, by its own names: lacp_rate, miimon, xmit_hash_policy, updelay, downdelay, primary."`
}

// Command is a build-time command; in YAML a string (run by /bin/sh -c) or
// {command, network: true}.
type Command struct {
	Command string   `yaml:"command" required:"true" check:"command" example:"nginx -t" doc:"The command, run by /bin/sh -c as root."`
	Network bool     `yaml:"network" default:"false" example:"true" doc:"May the command reach the network."`
	Pos     Position `yaml:"-"`
}

// Hooks are host-side-free commands at fixed moments of a build: essential
// runs in the tree when the base is configured, customize at the end.
type Hooks struct {
	Essential []Command `yaml:"essential" default:"none" doc:"Run in the tree when the base is configured and nothing else is."`
	Customize []Command `yaml:"customize" default:"none" doc:"Run in the tree at the end, after everything else was applied."`
}

// Container is what only the container target needs.
type Container struct {
	Binds   []Bind   `yaml:"binds" default:"none" example:"[\"./data:/srv/data:ro\"]" doc:"Host files and folders shown inside: host:inside, with :ro read-only."`
	Devices []string `yaml:"devices" check:"device" remove:"true" default:"none" example:"[/dev/fuse]" doc:"Host device nodes shown inside; shell patterns allowed."`
	Limits  Limits   `yaml:"limits" doc:"Bounds of the running container."`
}

// Bind shows a host path inside; in YAML "host:inside[:ro]" or a mapping.
type Bind struct {
	Host     string `yaml:"host" required:"true" check:"hostpath" path:"host" example:"./data" doc:"Path on the host."`
	Path     string `yaml:"path" required:"true" check:"abspath" example:"/srv/data" doc:"Absolute path inside."`
	ReadOnly bool   `yaml:"read_only" default:"false" example:"true" doc:"The machine cannot write to it."`
}

// Limits bound a running container; zero means none.
type Limits struct {
	Memory Size    `yaml:"memory" default:"none" example:"1G" doc:"Memory."`
	CPUs   float64 `yaml:"cpus" check:"cpus" default:"none" example:"1.5" doc:"Processors; fractions allowed."`
	Tasks  int     `yaml:"tasks" check:"positive" default:"none" example:"512" doc:"Processes and threads."`
}

// Port forwards a host port; in YAML "host:machine" or "address:host:machine", optionally "/udp".
// Without an address it answers on 127.0.0.1 and ::1.
type Port struct {
	Address string
	Host    int
	Machine int
	UDP     bool
}
