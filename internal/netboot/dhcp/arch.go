package dhcp

import "fmt"

// Arch is a row of the table of client architectures (option 93; the IANA
// registry "Processor Architecture Types", RFC 4578 and 5970).
type Arch struct {
	Code  uint16
	Name  string // as IANA names it
	CPU   string // i386, amd64, arm, arm64, riscv64 ...: as Debian names it; empty: none that boots Linux
	Boot  string // bios, uefi, uboot, of (Open Firmware), rpi, s390; empty: none of these
	HTTP  bool   // boots by URL
	Known bool   // false: the code is not in the table
}

// Archs is the table. 7 and 9 are both x86-64 in practice: RFC 4578 and its
// erratum swap the names.
var archs = []Arch{
	{Code: 0, Name: "x86 BIOS", CPU: "i386", Boot: "bios"},
	{Code: 1, Name: "NEC/PC98", CPU: "i386"},
	{Code: 2, Name: "Itanium", CPU: "ia64", Boot: "uefi"},
	{Code: 3, Name: "DEC Alpha", CPU: "alpha"},
	{Code: 4, Name: "Arc x86", CPU: "i386"},
	{Code: 5, Name: "Intel Lean Client", CPU: "i386"},
	{Code: 6, Name: "x86 UEFI", CPU: "i386", Boot: "uefi"},
	{Code: 7, Name: "x64 UEFI", CPU: "amd64", Boot: "uefi"},
	{Code: 8, Name: "EFI Xscale", CPU: "arm"},
	{Code: 9, Name: "EBC", CPU: "amd64", Boot: "uefi"},
	{Code: 10, Name: "ARM 32-bit UEFI", CPU: "armhf", Boot: "uefi"},
	{Code: 11, Name: "ARM 64-bit UEFI", CPU: "arm64", Boot: "uefi"},
	{Code: 12, Name: "PowerPC Open Firmware", CPU: "ppc64el", Boot: "of"},
	{Code: 13, Name: "PowerPC ePAPR", CPU: "powerpc", Boot: "uboot"},
	{Code: 14, Name: "POWER OPAL v3", CPU: "ppc64el", Boot: "of"},
	{Code: 15, Name: "x86 UEFI boot from HTTP", CPU: "i386", Boot: "uefi", HTTP: true},
	{Code: 16, Name: "x64 UEFI boot from HTTP", CPU: "amd64", Boot: "uefi", HTTP: true},
	{Code: 17, Name: "EBC boot from HTTP", CPU: "amd64", Boot: "uefi", HTTP: true},
	{Code: 18, Name: "ARM UEFI 32 boot from HTTP", CPU: "armhf", Boot: "uefi", HTTP: true},
	{Code: 19, Name: "ARM UEFI 64 boot from HTTP", CPU: "arm64", Boot: "uefi", HTTP: true},
	{Code: 20, Name: "PC/AT BIOS boot from HTTP", CPU: "i386", Boot: "bios", HTTP: true},
	{Code: 21, Name: "ARM 32 U-Boot", CPU: "armhf", Boot: "uboot"},
	{Code: 22, Name: "ARM 64 U-Boot", CPU: "arm64", Boot: "uboot"},
	{Code: 23, Name: "ARM U-Boot 32 boot from HTTP", CPU: "armhf", Boot: "uboot", HTTP: true},
	{Code: 24, Name: "ARM U-Boot 64 boot from HTTP", CPU: "arm64", Boot: "uboot", HTTP: true},
	{Code: 25, Name: "RISC-V 32-bit UEFI", CPU: "riscv32", Boot: "uefi"},
	{Code: 26, Name: "RISC-V 32-bit UEFI boot from HTTP", CPU: "riscv32", Boot: "uefi", HTTP: true},
	{Code: 27, Name: "RISC-V 64-bit UEFI", CPU: "riscv64", Boot: "uefi"},
	{Code: 28, Name: "RISC-V 64-bit UEFI boot from HTTP", CPU: "riscv64", Boot: "uefi", HTTP: true},
	{Code: 29, Name: "RISC-V 128-bit UEFI", CPU: "riscv128", Boot: "uefi"},
	{Code: 30, Name: "RISC-V 128-bit UEFI boot from HTTP", CPU: "riscv128", Boot: "uefi", HTTP: true},
	{Code: 31, Name: "s390 Basic", CPU: "s390x", Boot: "s390"},
	{Code: 32, Name: "s390 Extended", CPU: "s390x", Boot: "s390"},
	{Code: 33, Name: "MIPS 32-bit UEFI", CPU: "mipsel", Boot: "uefi"},
	{Code: 34, Name: "MIPS 64-bit UEFI", CPU: "mips64el", Boot: "uefi"},
	{Code: 35, Name: "Sunway 32-bit UEFI", CPU: "sunway32", Boot: "uefi"},
	{Code: 36, Name: "Sunway 64-bit UEFI", CPU: "sunway64", Boot: "uefi"},
	{Code: 37, Name: "LoongArch 32-bit UEFI", CPU: "loong32", Boot: "uefi"},
	{Code: 38, Name: "LoongArch 32-bit UEFI boot from HTTP", CPU: "loong32", Boot: "uefi", HTTP: true},
	{Code: 39, Name: "LoongArch 64-bit UEFI", CPU: "loong64", Boot: "uefi"},
	{Code: 40, Name: "LoongArch 64-bit UEFI boot from HTTP", CPU: "loong64", Boot: "uefi", HTTP: true},
	{Code: 41, Name: "ARM rpiboot", CPU: "arm64", Boot: "rpi"},
}

// Architectures returns the table of client architectures, in the order of
// their codes.
func Architectures() []Arch {
	out := make([]Arch, len(archs))
	for i, a := range archs {
		a.Known = true
		out[i] = a
	}
	return out
}

// LookupArch finds a code; the result is not Known where the table has none.
func LookupArch(code uint16) Arch {
	if int(code) < len(archs) {
		a := archs[code]
		a.Known = true
		return a
	}
	return Arch{Code: code, Name: fmt.Sprintf("architecture %d", code)}
}

// raspberry lists the first three bytes of the hardware addresses of Raspberry
// Pis: their boot EEPROM says that it is a BIOS.
var raspberry = map[[3]byte]bool{
	{0xb8, 0x27, 0xeb}: true, {0xdc, 0xa6, 0x32}: true, {0xe4, 0x5f, 0x01}: true, {0x28, 0xcd, 0xc1}: true,
	{0xd8, 0x3a, 0xdd}: true, {0x2c, 0xcf, 0x67}: true,
}

// archOf takes the first code that the table knows. Without any (option 93 is
// missing in some old firmware) it reads what the vendor class says, and a
// Raspberry Pi is one whatever it says.
func archOf(codes []uint16, vendorClass string, hw []byte) Arch {
	pick := Arch{}
	switch {
	case len(codes) > 0:
		pick = LookupArch(codes[0])
		for _, c := range codes {
			if a := LookupArch(c); a.Known {
				pick = a
				break
			}
		}
	default:
		code, ok := archOfClass(vendorClass)
		if !ok {
			return Arch{}
		}
		pick = LookupArch(code)
	}
	if pick.Code == 0 && pick.Known && len(hw) >= 3 && raspberry[[3]byte(hw[:3])] {
		return LookupArch(41)
	}
	return pick
}

// archOfClass reads the number in "PXEClient:Arch:00007:UNDI:003016". Bare
// "PXEClient" is what BIOS firmware of before RFC 4578 says.
func archOfClass(class string) (uint16, bool) {
	for _, prefix := range []string{"PXEClient:Arch:", "HTTPClient:Arch:"} {
		if len(class) >= len(prefix)+5 && class[:len(prefix)] == prefix {
			code := 0
			for _, c := range class[len(prefix) : len(prefix)+5] {
				if c < '0' || c > '9' {
					return 0, false
				}
				code = code*10 + int(c-'0')
			}
			return uint16(code), code <= 0xffff
		}
	}
	return 0, class == "PXEClient"
}
