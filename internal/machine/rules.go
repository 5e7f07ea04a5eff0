package machine

import (
	"fmt"
	"strings"
)

// rule is a named check of one scalar: what the tags check and keycheck name.
// The JSON Schema states the same rule, so that both agree.
type rule struct {
	want     string       // completes "want ..."
	pattern  string       // of text
	enum     []string     // of text
	min, max int          // of numbers; max 0: none
	above    bool         // of numbers: more than min
	only     bool         // of true or false: it must be true
	compiled *lazyPattern // of pattern
	hint     func(text string) string
}

// accepts tells whether text obeys the rule.
func (r *rule) accepts(text string) bool {
	if r.enum != nil {
		for _, e := range r.enum {
			if e == text {
				return true
			}
		}
		return false
	}
	return r.pattern == "" || r.compiled.MatchString(text)
}

// in tells whether a number obeys the rule.
func (r *rule) in(n float64) bool {
	if r.above && n <= float64(r.min) {
		return false
	}
	return n >= float64(r.min) && (r.max == 0 || n <= float64(r.max))
}

const (
	userName  = `[a-z_][a-z0-9_-]{0,30}\$?`
	ownerName = `([a-z_][a-z0-9_-]{0,30}|[0-9]{1,5})`
	// apkWord is what apk takes beyond that: a tag, other operators, and names
	// of what packages provide (so:, cmd:, pc:).
	apkWord     = `!?((so|cmd|pc|py[0-9.]*):)?[A-Za-z0-9][A-Za-z0-9+._-]*(@[A-Za-z0-9._-]+)?([<>=~]{1,2}[0-9][A-Za-z0-9._-]*)?`
	packageName = `[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9]+)?`
)

var rules = map[string]*rule{
	"format":      {want: "v1, the format that this version reads", enum: []string{"v1"}},
	"label":       {want: "a host label: lower-case letters, digits and inner hyphens, at most 63", pattern: `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`},
	"hostname":    {want: "a host name", pattern: `^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`},
	"system":      {want: "distribution/release, for example debian/trixie", pattern: systemPattern(), hint: hintSystem},
	"arch":        {want: "an architecture", enum: architectures, hint: func(s string) string { return didYouMean(archAliases[s]) }},
	"init":        {want: "auto, systemd, openrc, busybox, none or an absolute path", pattern: `^(auto|systemd|openrc|busybox|none|/[^\n]+)$`, hint: among("auto", "systemd", "openrc", "busybox", "none")},
	"base":        {want: "the name of a base set", pattern: `^[a-z][a-z0-9-]*$`},
	"package":     {want: "name, name=version, name/suite, or ./file.deb", pattern: `^-?` + packageName + `(=[^\s/=]+|/[A-Za-z0-9._-]+)?$|^-?` + apkWord + `$|^-?(\./|\.\./|/)[^\n]*\.(deb|apk|rpm|pkg\.tar\.zst)$`, hint: hintPackage},
	"url":         {want: "an http, https or file address", pattern: `^(https?://[^\s/]+(/[^\s]*)?|file:///[^\s]*)$`},
	"weburl":      {want: "an http or https address, for example http://machine:80/", pattern: `^https?://[^\s/]+(/[^\s]*)?$`},
	"board":       {want: "a board that slipway knows, or the path of a board file", pattern: `^(` + strings.Join(Boards(), "|") + `|[^~\n]*/[^\n]*)$`, hint: hintBoard},
	"word":        {want: "a word", pattern: `^[A-Za-z0-9./_:+-]+$`},
	"filepath":    {want: "an absolute path in the machine", pattern: `^/[^\n]+$`},
	"abspath":     {want: "an absolute path in the machine", pattern: `^/[^\n]*$`},
	"statepath":   {want: "an absolute path in the machine", pattern: `^-?/[^\n]*$`},
	"mountpoint":  {want: "an absolute path in the machine, or none", pattern: `^(none|/[^\s]*)$`},
	"hostpath":    {want: "a path on the host", pattern: `^[^~\n][^\n]*$`, hint: hintTilde},
	"sshkey":      {want: "the path of a public key file, or the key itself", pattern: `^[^~\n][^\n]*$`, hint: hintTilde},
	"linktarget":  {want: "the target of a symbolic link", pattern: `^[^\n]+$`},
	"device":      {want: "a device node below /dev", pattern: `^-?/dev/[^\s]+$`},
	"owner":       {want: "user:group", pattern: `^` + ownerName + `:` + ownerName + `$`, hint: hintOwner},
	"mode":        {want: `a quoted octal number, for example "0644"`, pattern: `^[0-7]{3,5}$`},
	"user":        {want: "a name of lower-case letters, digits, _ and -, at most 32, not starting with a digit", pattern: `^` + userName + `$`},
	"uid":         {want: "a number from 0 to 65533", max: 65533},
	"sudo":        {want: "nopasswd or password", enum: []string{"nopasswd", "password"}},
	"comment":     {want: "text without colons and line breaks", pattern: `^[^:\n]*$`},
	"env":         {want: "the name of an environment variable", pattern: `^[A-Za-z_][A-Za-z0-9_]*$`, hint: hintEnv},
	"sha256":      {want: "64 lower-case hexadecimal digits", pattern: `^[0-9a-f]{64}$`},
	"service":     {want: "the name of a service", pattern: `^-?[A-Za-z0-9_][A-Za-z0-9:_.\\@-]*$`},
	"unit":        {want: "the name of a service", pattern: `^[A-Za-z0-9_][A-Za-z0-9:_.\\@-]*$`},
	"unitstate":   {want: "a state of a service", enum: []string{"active", "inactive", "failed", "activating", "deactivating", "reloading"}},
	"fstab":       {want: "a word of fstab, without spaces", pattern: `^[^\s]+$`},
	"interfaces":  {want: "interface names or patterns", pattern: `^[^\s/]+( +[^\s/]+)*$`},
	"cidr":        {want: "an address with prefix length, for example 192.0.2.10/24", pattern: `^[0-9A-Fa-f:.]+/[0-9]{1,3}$`},
	"ip":          {want: "an IP address", pattern: `^[0-9A-Fa-f:.]+$`},
	"netbackend":  {want: "auto, networkd, ifupdown, networkmanager, busybox or netifrc", enum: append([]string{"auto", "netifrc"}, networkBackends...), hint: hintNetworkBackend},
	"netchoice":   {want: "networkd, ifupdown, networkmanager or busybox", enum: networkBackends, hint: hintNetworkBackend},
	"resolver":    {want: "auto, resolved, resolvconf or static", enum: append([]string{"auto"}, resolvers...), hint: among(resolvers...)},
	"resolvedby":  {want: "resolved, resolvconf or static", enum: resolvers, hint: among(resolvers...)},
	"timeservice": {want: "auto, timesyncd, chrony, openntpd, ntpd or none", enum: append([]string{"auto"}, timeServices...), hint: hintTimeService},
	"timekeeper":  {want: "timesyncd, chrony, openntpd, ntpd or none", enum: timeServices, hint: hintTimeService},
	"host":        {want: "a host name or address", pattern: `^[A-Za-z0-9_.:\[\]-]+$`},
	"dnsname":     {want: "a domain name", pattern: `^[A-Za-z0-9_.*-]+$`},
	"rrtype":      {want: "a record type", enum: []string{"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "CAA"}},
	"timezone":    {want: "an IANA time zone, for example Europe/Zurich", pattern: `^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$`},
	"locale":      {want: "a locale, for example C.UTF-8", pattern: `^[A-Za-z0-9_.@-]+$`},
	"restart":     {want: "never, on-failure or always", enum: []string{"never", "on-failure", "always"}},
	"sysctl":      {want: "a kernel setting, for example net.ipv4.ip_forward", pattern: `^[a-z0-9_-]+([./][A-Za-z0-9_*:@-]+)+$`},
	"question":    {want: "owner/question", pattern: `^[a-z0-9][a-z0-9+.-]*/[^\s]+$`},
	"header":      {want: "the name of a header", pattern: `^[A-Za-z0-9!#$%&'*+.^_|~-]+$`},
	"method":      {want: "a request method in capital letters", pattern: `^[A-Z]+$`},
	"command":     {want: "a command", pattern: `\S`},
	"text":        {want: "some text", pattern: `^(.|\n)`},
	"probename":   {want: "a name in one line", pattern: `^[^\n]+$`},
	"port":        {want: "a port number from 1 to 65535", min: 1, max: 65535},
	"status":      {want: "a status from 100 to 599", min: 100, max: 599},
	"exit":        {want: "an exit status from 0 to 255", max: 255},
	"positive":    {want: "a number above zero", min: 1, max: 1<<31 - 1},
	"count":       {want: "a number from zero", max: 1<<31 - 1},
	"priority":    {want: "a pin priority from -32767 to 32767", min: -32767, max: 32767},
	"cpus":        {want: "a number above zero", above: true},
	"true":        {want: "true", only: true},

	"kernel":       {want: "auto, host, none or the name of a package", pattern: `^(auto|host|none|` + packageName + `(=[^\s/=]+)?)$`},
	"cmdword":      {want: "one word of a kernel command line", pattern: `^[^\s]+$`},
	"module":       {want: "the name of a kernel module", pattern: `^-?[A-Za-z0-9_-]+$`},
	"table":        {want: "gpt, msdos, hybrid or none", enum: []string{"gpt", "msdos", "hybrid", "none"}},
	"sector":       {want: "512 or 4096", min: 512, max: 4096},
	"partuse":      {want: "the use of a partition", enum: []string{"esp", "bios", "boot", "root", "swap", "state", "data", "raw"}},
	"filesystem":   {want: "a file system", enum: []string{"ext4", "xfs", "btrfs", "vfat", "squashfs", "erofs"}},
	"volumelabel":  {want: "a label of at most 16 letters, digits, and . _ -", pattern: `^[A-Za-z0-9._-]{1,16}$`},
	"partname":     {want: "a name of at most 36 characters", pattern: `^[^\n/]{1,36}$`},
	"parttype":     {want: "a GUID, or two hexadecimal digits", pattern: `^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{2})$`},
	"firmware":     {want: "uefi, bios or uboot", enum: []string{"uefi", "bios", "uboot"}},
	"loader":       {want: "a boot loader", enum: []string{"auto", "systemd-boot", "uki", "grub", "extlinux", "none"}},
	"console":      {want: "a terminal, and the rate of a serial one: tty0 or ttyS0,115200", pattern: `^(tty[0-9]+|(tty[A-Z]+[0-9]+|hvc[0-9]+)(,[0-9]+[noe]?[78]?)?)$`},
	"initramfs":    {want: "slipway, distro or none", enum: []string{"slipway", "distro", "none"}},
	"ramroot":      {want: "squashfs, erofs, cpio or init", enum: []string{"squashfs", "erofs", "cpio", "init"}},
	"diskbus":      {want: "virtio, ahci, nvme or scsi", enum: []string{"virtio", "ahci", "nvme", "scsi"}},
	"serial":       {want: "at most 20 letters, digits, and . _ -", pattern: `^[A-Za-z0-9._-]{1,20}$`},
	"pcislot":      {want: "a slot and function, for example 05.0", pattern: `^[0-9a-f]{2}\.[0-7]$`},
	"mac":          {want: "a hardware address, for example 52:54:00:04:04:03", pattern: `^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$`},
	"netmode":      {want: "ram or install", enum: []string{"ram", "install"}},
	"netinitrd":    {want: "whole or small", enum: []string{"whole", "small"}},
	"netentry":     {want: "an entry of the menu", enum: []string{"auto", "disk", "install", "ram", "rescue", "memtest"}},
	"answers":      {want: "a kind of installer", enum: []string{"preseed", "kickstart", "autoinstall", "nocloud", "ignition", "alpine"}},
	"keyboard":     {want: "a keyboard layout, for example us or ch", pattern: `^[a-z][a-z0-9_-]{0,30}$`},
	"ifname":       {want: "the name of an interface, at most 15 characters", pattern: `^[^\s/*?\[\]:]{1,15}$`},
	"bondmode":     {want: "a mode of bonds", enum: []string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}},
	"bondoption":   {want: "an option of bonds", enum: []string{"lacp_rate", "miimon", "xmit_hash_policy", "updelay", "downdelay", "primary"}},
	"netprotocol":  {want: "pxe or http", enum: []string{"pxe", "http"}},
	"powerline":    {want: "dtr or rts", enum: []string{"dtr", "rts"}},
	"powerword":    {want: "a program or one of its arguments", pattern: `^[^\x00]+$`},
	"netword":      {want: "one line of text", pattern: `^[^\n]{1,255}$`},
	"ipv4":         {want: "an IPv4 address, for example 192.0.2.17", pattern: `^[0-9]{1,3}(\.[0-9]{1,3}){3}$`},
	"uuid":         {want: "a UUID, for example 4c4c4544-0042-3510-8054-b9c04f4e4d32", pattern: `^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`},
	"diskselector": {want: "serial:NUMBER, or a path below /dev/disk/by-id or by-path", pattern: `^(serial:[^\s]+|/dev/disk/by-(id|path)/[^\s]+)$`, hint: hintDisk},
	"nicmodel":     {want: "a model of network card", enum: []string{"virtio", "e1000e", "e1000", "igb", "rtl8139"}},
	"slim":         {want: "what can be left out", enum: []string{"docs", "man", "info", "locales", "apt_lists", "-docs", "-man", "-info", "-locales", "-apt_lists"}},
}

func init() {
	for _, r := range rules {
		if r.pattern != "" {
			r.compiled = newPattern(r.pattern)
		}
	}
}

// advise returns the hint for a text that the rule refuses.
func (r *rule) advise(text string) string {
	if r.hint != nil {
		if h := r.hint(text); h != "" {
			return h
		}
	}
	if near := nearest(text, r.enum); near != "" {
		return didYouMean(near)
	}
	if r.enum != nil && len(r.enum) > 1 {
		return "valid: " + strings.Join(r.enum, ", ")
	}
	return ""
}

func didYouMean(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", s)
}

func among(valid ...string) func(string) string {
	return func(text string) string { return didYouMean(nearest(text, valid)) }
}

func hintTilde(text string) string {
	if strings.HasPrefix(text, "~") {
		return "~ is not expanded: write the path out"
	}
	return ""
}

func hintDisk(text string) string {
	if strings.HasPrefix(text, "/dev/") {
		return "names such as /dev/sda change from boot to boot: take the serial number"
	}
	return didYouMeanIf(!strings.Contains(text, "/"), "serial:"+text)
}

func hintOwner(text string) string {
	if !strings.Contains(text, ":") {
		return fmt.Sprintf("write %q", text+":"+text)
	}
	return ""
}

func hintEnv(text string) string {
	return didYouMeanIf(strings.HasPrefix(text, "$"), strings.Trim(text, "${}"))
}

func hintPackage(text string) string {
	if hint := hintTilde(text); hint != "" {
		return hint
	}
	return didYouMeanIf(strings.HasSuffix(text, ".deb"), "./"+text)
}

func didYouMeanIf(ok bool, s string) string {
	if !ok {
		return ""
	}
	return didYouMean(s)
}

// hintSystem helps with a system that the table does not accept.
func hintSystem(text string) string {
	name, release, slash := strings.Cut(text, "/")
	d, known := distributionOf(name)
	switch {
	case known && d.releases && release == "":
		if len(d.ready) == 0 {
			return fmt.Sprintf("name a release: %s/RELEASE", name)
		}
		return fmt.Sprintf("name a release: %s/%s", name, strings.Join(d.ready, ", "+name+"/"))
	case known && !d.releases && slash:
		return fmt.Sprintf("%s has no releases: write %q", name, name)
	case known:
		return ""
	}
	var names []string
	for _, d := range distributions {
		names = append(names, d.name)
	}
	if near := nearest(name, names); near != "" {
		return didYouMean(strings.TrimSuffix(near+"/"+release, "/"))
	}
	if near := nearest(text, supportedSystems()); near != "" {
		return didYouMean(near)
	}
	return "known: " + strings.Join(names, ", ") + " (linux: any, with its root archive in from)"
}
