package boot

import (
	"context"
	"errors"

	"slipway/internal/image/uki"
)

// EFI gives the machine as one EFI program. Its root is the initramfs: the
// result must be one of the target RAM. Call it as long as the content of the
// tree is there.
func (r *Result) EFI(ctx context.Context) (*uki.Image, error) {
	if r.efi == nil {
		return nil, errors.New("only a machine in RAM is a single EFI program")
	}
	return r.efi(ctx)
}

// efiProgram finds the stub when it is asked for: a machine in RAM needs it
// for nothing else.
func (a *assembly) efiProgram(k *booted) func(context.Context) (*uki.Image, error) {
	return func(ctx context.Context) (*uki.Image, error) {
		stub, err := a.systemdFile(ctx, "linux"+efiSuffix[a.Definition.Arch]+".efi.stub")
		if err != nil {
			return nil, err
		}
		code, err := stub.bytes(a.Content)
		if err != nil {
			return nil, err
		}
		return &uki.Image{
			Stub: code, OSRelease: a.osRelease(), Cmdline: k.cmdline, Uname: k.Version,
			Kernel: uki.Part(*a.result.Kernel), Initrd: uki.Part(*a.result.Initrd),
		}, nil
	}
}

// osRelease names the system of a unified image to boot managers.
func (a *assembly) osRelease() []byte {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		if data, err := a.read(name, 64<<10); err == nil {
			return data
		}
	}
	return []byte("ID=linux\nPRETTY_NAME=\"Linux\"\n")
}
