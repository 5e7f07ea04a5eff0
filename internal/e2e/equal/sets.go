package equal

import (
	"fmt"
	"strings"
)

// Set is a list of packages to install on top of minbase.
type Set struct {
	Name     string
	Packages []string
	// Boot is the release that the boot tier tries; "" means each of them.
	Boot string
}

// Releases are those that every set is tried on.
var Releases = []string{"trixie", "bookworm"}

// Sets cover what machines are made for: nothing, a kernel with its init, a
// web server with a database, mail, compilers, a host's
// usual company, applications, and file servers.
var Sets = []Set{
	{Name: "minbase"},
	{Name: "bootable", Boot: "trixie", Packages: []string{"linux-image-cloud-amd64", "systemd-sysv",
		"openssh-server", "iproute2", "udev", "dbus", "ca-certificates"}},
	{Name: "web", Boot: "bookworm", Packages: []string{"nginx", "php-fpm", "mariadb-server"}},
	{Name: "mail", Boot: "trixie", Packages: []string{"postfix", "dovecot-imapd"}},
	{Name: "build", Boot: "bookworm", Packages: []string{"build-essential", "python3", "git"}},
	{Name: "host", Boot: "bookworm", Packages: []string{"systemd-sysv", "systemd-resolved", "network-manager",
		"sudo", "cron", "rsyslog", "locales"}},
	{Name: "apps", Boot: "trixie", Packages: []string{"apache2", "postgresql", "default-jre-headless", "exim4-daemon-light"}},
	{Name: "files", Boot: "trixie", Packages: []string{"samba", "btrfs-progs", "smartmontools"}},
}

// definition asks for exactly the set: no init is chosen, nothing is implied,
// nothing recommended is added.
func (s Set) definition(release string) string {
	return fmt.Sprintf("slipway: v1\nname: %s\nsystem: debian/%s\ninit: none\nrecommends: false\npackages: [%s]\n",
		s.Name, release, strings.Join(s.Packages, ", "))
}
