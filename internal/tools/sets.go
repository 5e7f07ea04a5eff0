package tools

// Set is one set of tools: a row of the table Sets.
type Set struct {
	Name     string
	What     string   // for people
	Packages []string // of System
	System   string   // "": the System of all others
	About    string   // what fetching it takes, roughly
	Program  string   // the one that stands for the set on the host; "" where it has only files
	// Least is the oldest version of the host's program that is good enough;
	// "" takes any that is there.
	Least string
	// Needs are files, beside the program, without which the host's set is not
	// used: absolute paths as Debian has them.
	Needs []string
	// Env is set for the tree's programs; {root} and {lib} stand for the tree
	// and for its library folder.
	Env []string
	// Drop are folders and files of the packages that are of no use here.
	Drop []string
	// TreeOnly leaves the host's programs alone: the set's files are for a
	// guest, and must not depend on what the host happens to have.
	TreeOnly bool
	// Without are packages that the named ones depend on but that these
	// programs never touch.
	Without []string
}

// Sets are all sets of tools. The oldest QEMU that is taken is 10: version
// 7.2 mishandles cmpxchg16b when it emulates, which panics guests.
var Sets = []Set{
	{
		Name: "qemu", What: "QEMU for x86 machines, with SeaBIOS and OVMF", About: "about 45 MB",
		Packages: []string{"qemu-system-x86", "ovmf", "seabios", "ipxe-qemu"},
		Program:  "qemu-system-x86_64", Least: "10",
		Needs: []string{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", "/usr/share/seabios/bios-256k.bin"},
		Env:   []string{"QEMU_MODULE_DIR={lib}/qemu"},
		Drop:  []string{"usr/bin/qemu-system-i386", "usr/bin/qemu-system-x86_64-microvm"},
	},
	{
		Name: "qemu-arm", What: "QEMU for arm machines, with their UEFI", About: "about 45 MB",
		Packages: []string{"qemu-system-arm", "qemu-efi-aarch64", "ipxe-qemu"},
		Program:  "qemu-system-aarch64", Least: "10",
		Needs: []string{"/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"},
		Env:   []string{"QEMU_MODULE_DIR={lib}/qemu"},
	},
	{
		Name: "uboot", What: "u-boot for emulated arm machines", About: "about 2 MB",
		Packages: []string{"u-boot-qemu"}, TreeOnly: true, Needs: []string{"/usr/lib/u-boot/qemu_arm64/u-boot.bin"},
	},
	{
		Name: "qemu-user", What: "emulators of foreign processors for single programs", About: "about 50 MB",
		Packages: []string{"qemu-user"}, Program: "qemu-aarch64", TreeOnly: true,
		// Those of processors for which there is no distribution.
		Drop: below("usr/bin/qemu-", "aarch64_be", "alpha", "armeb", "hexagon", "hppa", "m68k", "microblaze", "microblazeel", "mips",
			"mips64", "mipsel", "mipsn32", "mipsn32el", "or1k", "ppc", "ppc64", "riscv32", "sh4", "sh4eb", "sparc", "sparc32plus",
			"sparc64", "xtensa", "xtensaeb"),
	},
	{
		Name: "qemu-img", What: "QEMU's disk image tool", About: "about 12 MB",
		Packages: []string{"qemu-utils"}, Program: "qemu-img",
		Env: []string{"QEMU_MODULE_DIR={lib}/qemu"},
	},
	{Name: "virtiofsd", What: "the server of shared folders", About: "about 6 MB", Packages: []string{"virtiofsd"}, Program: "virtiofsd"},
	{Name: "swtpm", What: "a TPM in software", About: "about 8 MB", Packages: []string{"swtpm"}, Program: "swtpm"},
	{
		Name: "grub", What: "GRUB's images and their maker", About: "about 12 MB",
		Packages: []string{"grub-common", "grub-pc-bin", "grub-efi-amd64-bin"}, Program: "grub-mkimage",
		Needs: []string{"/usr/lib/grub/i386-pc/boot.img", "/usr/lib/grub/x86_64-efi/moddep.lst"},
	},
	{Name: "passt", What: "networking without root", About: "about 3 MB", Packages: []string{"passt"}, Program: "passt"},
	{
		Name: "ipxe", What: "iPXE, the loader of machines that boot over the network", About: "about 5 MB",
		Packages: []string{"ipxe"}, TreeOnly: true, Needs: []string{"/usr/lib/ipxe/undionly.kpxe", "/usr/lib/ipxe/snponly.efi"},
	},
	{
		Name: "mkfs", What: "makers of btrfs and xfs, with a kernel to run them", About: "about 60 MB",
		Packages: []string{"btrfs-progs", "xfsprogs", "linux-image-cloud-amd64"}, Program: "mkfs.btrfs", TreeOnly: true,
		Without: []string{"dpkg", "tar", "libicu76", "python3", "python3-minimal", "python3.13", "python3.13-minimal", "libpython3-stdlib",
			"libpython3.13-stdlib", "libpython3.13-minimal", "initramfs-tools", "initramfs-tools-core", "initramfs-tools-bin", "linux-base",
			"klibc-utils", "libklibc", "cpio", "udev", "kmod", "dracut-install", "zstd", "logsave", "perl-base", "debconf",
			"systemd", "libsystemd-shared", "libsystemd0", "dmsetup", "coreutils", "mount", "libssl3t64", "openssl-provider-legacy",
			"libglib2.0-0t64", "python3-dbus", "libsqlite3-0", "libstdc++6", "libdb5.3t64", "libgmp10", "tzdata", "media-types", "netbase"},
	},
	{
		// The installer's modules are fetched from the archive and must be
		// those of its kernel: the two are of one release, which is not ours.
		Name: "debian-installer-12", What: "the installer of Debian 12, for the network", About: "about 133 MB",
		Packages: []string{"debian-installer-12-netboot-amd64"}, System: "debian/bookworm", TreeOnly: true,
		Needs: []string{installer12 + "linux", installer12 + "initrd.gz"},
		Drop:  []string{"usr/lib/debian-installer/images/12/amd64/gtk"},
	},
}

// dropped are folders that no program reads.
var dropped = []string{
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bug",
	"usr/share/doc-base", "usr/share/bash-completion", "usr/share/zsh", "usr/share/icons", "usr/share/applications",
	"usr/share/metainfo", "usr/share/polkit-1", "usr/lib/systemd", "var",
}

// below lists names with what they begin with.
func below(prefix string, names ...string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = prefix + name
	}
	return out
}

// installer12 is where the package keeps the text installer.
const installer12 = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/"
