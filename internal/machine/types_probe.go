package machine

import "time"

// Probe is one check of a running machine. Exactly one of the kinds is set.
type Probe struct {
	Name   string        `yaml:"name" check:"probename" default:"its kind" example:"page" doc:"Name of the probe in the proof."`
	Within time.Duration `yaml:"within" default:"30s" example:"90s" doc:"Deadline."`
	Every  time.Duration `yaml:"every" default:"250ms" example:"1s" doc:"Pace of retries."`
	After  string        `yaml:"after" check:"probename" default:"none" example:"page" doc:"Name of a probe that must have held first."`
	Fails  bool          `yaml:"fails" default:"false" example:"true" doc:"The check is expected to fail."`

	HTTP          *HTTPProbe    `yaml:"http" doc:"Request an address and look at the answer."`
	TCP           *TCPProbe     `yaml:"tcp" example:"22" doc:"Connect to a port; a number, or a mapping that sends and expects text."`
	UDP           *TCPProbe     `yaml:"udp" require:"port,send,expect" doc:"Send a datagram and expect text in the answer."`
	DNS           *DNSProbe     `yaml:"dns" doc:"Ask a name server for a record."`
	TLS           *TLSProbe     `yaml:"tls" require:"port" doc:"Make a TLS handshake and look at the certificate."`
	SSH           *SSHProbe     `yaml:"ssh" doc:"Log in through ssh."`
	Login         *LoginProbe   `yaml:"login" doc:"Log in on a terminal of the machine."`
	Command       string        `yaml:"command" check:"command" example:"systemctl is-system-running" doc:"Run a command inside by /bin/sh -c; it must exit with status 0 or the one that exit names."`
	Stdout        *string       `yaml:"stdout" example:"running" doc:"The command's whole standard output, a final newline apart."`
	Stderr        *string       `yaml:"stderr" doc:"The command's whole standard error, a final newline apart."`
	Contains      string        `yaml:"contains" check:"text" example:"running" doc:"Text that the command's standard output contains."`
	Exit          *int          `yaml:"exit" check:"exit" default:"0" example:"1" doc:"The command's exit status."`
	FileCheck     *FileProbe    `yaml:"file" example:"/etc/motd" doc:"Look at a file inside; a path that must exist, or a mapping."`
	Unit          *UnitProbe    `yaml:"unit" example:"nginx.service" doc:"Look at a service of the init system; a name that must be active, or a mapping."`
	Log           *LogProbe     `yaml:"log" doc:"Look for text in the machine's log or in a file."`
	PortClosed    int           `yaml:"port_closed" check:"port" example:"25" doc:"A TCP port that must not answer."`
	Backend       *BackendProbe `yaml:"backend" doc:"The chosen program, and no other, does the network, the resolver or the clock. A choice brings this probe with it."`
	NoFailedUnits bool          `yaml:"no_failed_units" check:"true" example:"true" doc:"No service of the init system has failed."`
	Updates       *UpdatesProbe `yaml:"updates" example:"true" doc:"The security archive is configured, and no update is pending as of the lock's date."`
	Reboot        int           `yaml:"reboot" check:"positive" example:"3" doc:"Cold boots, one after the other; after each of them all probes before this one hold again."`
	Limit         *LimitProbe   `yaml:"limit" doc:"Bound what the running machine uses."`

	Pos Position `yaml:"-"`
}

// HTTPProbe requests URL; the host name "machine" stands for the machine.
type HTTPProbe struct {
	URL      string            `yaml:"url" required:"true" check:"weburl" example:"\"http://machine:80/\"" doc:"Address; the host name machine stands for the machine."`
	Method   string            `yaml:"method" check:"method" default:"GET" example:"HEAD" doc:"Request method."`
	Status   int               `yaml:"status" check:"status" default:"200" example:"301" doc:"Expected status."`
	Contains string            `yaml:"contains" check:"text" example:"afloat" doc:"Text that the body contains."`
	Header   map[string]string `yaml:"header" keycheck:"header" default:"none" example:"{Content-Type: text/html}" doc:"Expected response headers."`
	JSON     map[string]any    `yaml:"json" default:"none" example:"{status.ok: true}" doc:"Values expected in a JSON body, by dotted path."`
	Verify   *bool             `yaml:"verify" default:"true" example:"false" doc:"Verify the certificate of an https address."`
}

// TCPProbe connects, and may send and expect text. For udp, Send and Expect are required.
type TCPProbe struct {
	Port   int    `yaml:"port" required:"true" check:"port" example:"22" doc:"Port number."`
	Host   string `yaml:"host" check:"host" default:"the machine" example:"db" doc:"Name or address to connect to, as seen in the lab."`
	Send   string `yaml:"send" check:"text" default:"nothing" example:"\"PING\\r\\n\"" doc:"Text to send."`
	Expect string `yaml:"expect" check:"text" default:"nothing" example:"SSH-2.0" doc:"Text contained in what comes back."`
}

// DNSProbe asks a name server for a record.
type DNSProbe struct {
	Server string `yaml:"server" check:"host" default:"the machine, port 53" example:"192.0.2.53" doc:"Name server, address or address:port."`
	Name   string `yaml:"name" required:"true" check:"dnsname" example:"example.org" doc:"Name to ask for."`
	Type   string `yaml:"type" check:"rrtype" default:"A" example:"MX" doc:"Record type."`
	Answer string `yaml:"answer" check:"text" default:"any" example:"192.0.2.80" doc:"Value that one answer equals."`
}

// TLSProbe makes a TLS handshake.
type TLSProbe struct {
	Port       int    `yaml:"port" check:"port" example:"443" doc:"Port number."`
	ServerName string `yaml:"server_name" check:"dnsname" default:"the machine's name" example:"www.example.org" doc:"Name that is asked for and verified."`
	Verify     *bool  `yaml:"verify" default:"true" example:"false" doc:"Verify the certificate."`
	CA         string `yaml:"ca" check:"hostpath" path:"host" default:"the host's authorities" example:"./ca.pem" doc:"PEM file on the host with the authorities to trust."`
	DaysLeft   int    `yaml:"days_left" check:"positive" default:"0" example:"14" doc:"The certificate is valid for at least so many days."`
}

// SSHProbe logs in and may run a command.
type SSHProbe struct {
	Port    int    `yaml:"port" check:"port" default:"22" example:"2222" doc:"Port number."`
	User    string `yaml:"user" check:"user" default:"root" example:"ops" doc:"User to log in as."`
	Key     string `yaml:"key" check:"hostpath" path:"host" default:"the machine's generated key" example:"./id_ed25519" doc:"Private key file on the host."`
	Command string `yaml:"command" check:"command" default:"none" example:"sudo -n id" doc:"Command to run; it must exit with status 0."`
	Expect  string `yaml:"expect" check:"text" default:"nothing" example:"uid=0" doc:"Text that the command's output contains."`
}

// LoginProbe logs in on a terminal of the machine.
type LoginProbe struct {
	User     string  `yaml:"user" required:"true" check:"user" example:"ops" doc:"User to log in as."`
	Password *Secret `yaml:"password" default:"none" example:"{file: ./ops.password}" doc:"The user's password."`
	Expect   string  `yaml:"expect" check:"text" default:"a shell prompt" example:"ops@web" doc:"Text that follows the login."`
}

// FileProbe looks at a file inside.
type FileProbe struct {
	Path     string  `yaml:"path" required:"true" check:"abspath" example:"/etc/motd" doc:"Absolute path in the machine."`
	Exists   *bool   `yaml:"exists" default:"true" example:"false" doc:"Must it exist."`
	Contains string  `yaml:"contains" check:"text" example:"hello" doc:"Text that it contains."`
	Content  *string `yaml:"content" example:"\"hello\\n\"" doc:"Its whole content."`
	Mode     string  `yaml:"mode" check:"mode" example:"\"0640\"" doc:"Its permissions, a quoted octal number."`
	Owner    string  `yaml:"owner" check:"owner" example:"\"root:root\"" doc:"Its user:group, names or numbers."`
	SHA256   string  `yaml:"sha256" check:"sha256" doc:"SHA-256 of its content."`
}

// UnitProbe looks at a service of the init system.
type UnitProbe struct {
	Name  string `yaml:"name" required:"true" check:"unit" example:"nginx.service" doc:"Name of the service."`
	State string `yaml:"state" check:"unitstate" default:"active" example:"inactive" doc:"Expected state: active, inactive, failed, activating, deactivating or reloading."`
}

// BackendProbe checks who does the network, the resolver or the clock.
type BackendProbe struct {
	Network  string `yaml:"network" check:"netchoice" example:"networkmanager" doc:"It runs, no other does, and it has given an interface an address."`
	Resolver string `yaml:"resolver" check:"resolvedby" example:"resolved" doc:"/etc/resolv.conf is as it makes it."`
	Asks     string `yaml:"asks" check:"dnsname" default:"none" example:"example.org" doc:"With resolver: a name that the machine must be able to resolve."`
	Time     string `yaml:"time" check:"timekeeper" example:"chrony" doc:"It runs and no other does; in a container none does."`
}

// LogProbe looks for text in the machine's log (journal or syslog) or in a file.
type LogProbe struct {
	Unit     string `yaml:"unit" check:"unit" default:"the whole log" example:"nginx.service" doc:"Only lines of this service."`
	File     string `yaml:"file" check:"abspath" default:"the system log" example:"/var/log/nginx/error.log" doc:"A file inside instead of the system log."`
	Contains string `yaml:"contains" check:"text" example:"ready" doc:"Text that must appear."`
	Absent   string `yaml:"absent" check:"text" example:"segfault" doc:"Text that must not."`
}

// UpdatesProbe checks that security sources are present and nothing is pending as of the lock's date.
type UpdatesProbe struct {
	Pending *int `yaml:"pending" check:"count" default:"0" example:"3" doc:"At most so many pending updates."`
}

// LimitProbe bounds what the running machine uses.
type LimitProbe struct {
	Memory Size          `yaml:"memory" example:"128M" doc:"Memory in use by the machine."`
	Disk   Size          `yaml:"disk" example:"64M" doc:"Bytes written since it was built."`
	Size   Size          `yaml:"size" example:"300M" doc:"Size of the built tree."`
	Uptime time.Duration `yaml:"uptime" example:"5s" doc:"Time from start until it was up."`
}
