package partition

// Type is what a partition is for, in both kinds of tables.
type Type struct {
	GUID GUID
	MBR  byte
}

// The types of the UEFI specification and of the Discoverable Partitions
// Specification that machines here use.
var (
	ESP      = Type{mustGUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), 0xef}
	BIOSBoot = Type{mustGUID("21686148-6449-6e6f-744e-656564454649"), 0}
	XBOOTLDR = Type{mustGUID("bc13c2ff-59e6-4262-a352-b275fd6f7172"), 0xea}
	Swap     = Type{mustGUID("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"), 0x82}
	Linux    = Type{mustGUID("0fc63daf-8483-4772-8e79-3d69d8477de4"), 0x83}
	Home     = Type{mustGUID("933ac7e1-2eb4-4f13-b844-0e14e2aef915"), 0x83}
	Srv      = Type{mustGUID("3b8f8425-20e0-4f3b-907f-1a25a76f98e8"), 0x83}
	Var      = Type{mustGUID("4d21b016-b534-45c2-a9fb-5c16e091fd2d"), 0x83}
	VarTmp   = Type{mustGUID("7ec6f557-3bc5-4aca-b293-16ef5df639d1"), 0x83}
	FAT      = Type{mustGUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"), 0x0c}
)

// roots are the types of a root, by the architecture's Debian name.
var roots = map[string]GUID{
	"amd64":    mustGUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
	"arm64":    mustGUID("b921b045-1df0-41c3-af44-4c6f280d3fae"),
	"armhf":    mustGUID("69dad710-2ce4-4e3c-b16c-21a1d49abed3"),
	"armel":    mustGUID("69dad710-2ce4-4e3c-b16c-21a1d49abed3"),
	"i386":     mustGUID("44479540-f297-41b2-9af7-d131d5f0458a"),
	"loong64":  mustGUID("77055800-792c-4f94-b39a-98c91b762bb6"),
	"mips64el": mustGUID("700bda43-7a34-4507-b179-eeb93d7a7ca3"),
	"mipsel":   mustGUID("37c58c8a-d913-4156-a25f-48b1b64e07f0"),
	"ppc64el":  mustGUID("c31c45e6-3f39-412e-80fb-4809c4980599"),
	"riscv64":  mustGUID("72ec70a6-cf74-40e6-bd49-4bda08e8f224"),
	"s390x":    mustGUID("5eead9a9-fe09-4a1e-a1d7-520d00531306"),
}

// Root is the type of a root for an architecture; that of any Linux file
// system when the specification has none for it.
func Root(arch string) Type {
	if g, ok := roots[arch]; ok {
		return Type{g, Linux.MBR}
	}
	return Linux
}

// Data is the type of a partition that is mounted at a path.
func Data(mount string) Type {
	switch mount {
	case "/home":
		return Home
	case "/srv":
		return Srv
	case "/var":
		return Var
	case "/var/tmp":
		return VarTmp
	}
	return Linux
}
