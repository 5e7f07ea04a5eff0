package partition

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const mib = 1 << 20

func sample(kind string, sector int) *Table {
	t := &Table{Kind: kind, Sector: sector, Size: 64 * mib, ID: mustGUID("01234567-89ab-4def-8123-456789abcdef"),
		BootCode: []byte{0xeb, 0x63, 0x90}}
	if kind != GPT {
		t.DiskID = 0xcafe0123
	}
	if kind == MBR {
		t.ID = GUID{}
	}
	parts := []struct {
		kind Type
		size int64
	}{{ESP, 33}, {BIOSBoot, 1}, {Root("amd64"), 20}, {Swap, 8}}
	at := int64(mib)
	for i, d := range parts {
		p := Part{Number: i + 1, Start: at, Size: d.size * mib, MBRType: d.kind.MBR, Active: i == 2 && kind != GPT}
		if kind == MBR && i == 1 {
			p.MBRType = 0xda
		} else if kind != MBR {
			p.Type, p.ID, p.Name = d.kind.GUID, GUID{byte(i + 1), 15: 0x77}, fmt.Sprintf("größe %d", i)
		}
		if kind == GPT {
			p.MBRType = 0
		}
		t.Parts = append(t.Parts, p)
		at += p.Size
	}
	return t
}

// memory is a disk.
type memory []byte

func (m memory) WriteAt(b []byte, at int64) (int, error) { return copy(m[at:], b), nil }

func render(t *testing.T, table *Table) []byte {
	t.Helper()
	disk := make(memory, table.Size)
	if err := table.WriteAt(disk); err != nil {
		t.Fatal(err)
	}
	return disk
}

func TestReadBack(t *testing.T) {
	for _, kind := range []string{GPT, MBR, Hybrid} {
		for _, sector := range []int{512, 4096} {
			t.Run(fmt.Sprint(kind, sector), func(t *testing.T) {
				want := sample(kind, sector)
				disk := render(t, want)
				asked := sector
				if kind != MBR {
					asked = 0 // found out
				}
				got, err := Read(bytes.NewReader(disk), want.Size, asked)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Error(d)
				}
				if !bytes.Equal(render(t, got), disk) {
					t.Error("what was read renders to other bytes")
				}
			})
		}
	}
}

func TestJudges(t *testing.T) {
	for _, kind := range []string{GPT, MBR, Hybrid} {
		t.Run(kind, func(t *testing.T) {
			table := sample(kind, 512)
			name := filepath.Join(t.TempDir(), "disk")
			if err := os.WriteFile(name, render(t, table), 0o600); err != nil {
				t.Fatal(err)
			}
			out := run(t, "sfdisk", "--verify", name)
			if !strings.Contains(out, "No errors detected") {
				t.Errorf("sfdisk: %s", out)
			}
			dump := run(t, "sfdisk", "--dump", name)
			for _, p := range table.Parts {
				if want := fmt.Sprintf("disk%d : start=%12d, size=%12d", p.Number, p.Start/512, p.Size/512); !strings.Contains(dump, want) {
					t.Errorf("sfdisk says\n%s\nnot %s", dump, want)
				}
				if kind != MBR && !strings.Contains(dump, "uuid="+strings.ToUpper(p.ID.String())) {
					t.Errorf("sfdisk says\n%s\nnot %s", dump, p.ID)
				}
			}
			if kind == MBR {
				if !strings.Contains(dump, "label-id: 0xcafe0123") || strings.Count(dump, "bootable") != 1 {
					t.Errorf("sfdisk says\n%s", dump)
				}
				return
			}
			if out := run(t, "sgdisk", "-v", name); !strings.Contains(out, "No problems found") {
				t.Errorf("sgdisk: %s", out)
			}
			wants := map[string]string{GPT: "MBR: protective", Hybrid: "MBR: hybrid"}
			if out := run(t, "gdisk", "-l", name); !strings.Contains(out, wants[kind]) {
				t.Errorf("gdisk: %s", out)
			}
		})
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil { // users have it not in their path
		path = "/usr/sbin/" + name
		if _, err := os.Stat(path); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// TestLargeSectors asks fdisk, which takes the size of sectors as an option.
func TestLargeSectors(t *testing.T) {
	for _, kind := range []string{GPT, MBR} {
		table := sample(kind, 4096)
		name := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(name, render(t, table), 0o600); err != nil {
			t.Fatal(err)
		}
		out := run(t, "fdisk", "-b", "4096", "-l", "-o", "Start,Sectors", name)
		for _, p := range table.Parts {
			if want := fmt.Sprintf("%5d %7d", p.Start/4096, p.Size/4096); !strings.Contains(out, want) {
				t.Errorf("fdisk says\n%s\nnot %s", out, want)
			}
		}
	}
}

// TestGolden holds the bytes of a table: sector by sector what is not zero.
func TestGolden(t *testing.T) {
	table := sample(GPT, 512)
	table.Parts = table.Parts[:1]
	disk := render(t, table)
	var b strings.Builder
	for at := 0; at < len(disk); at += 16 {
		if row := disk[at : at+16]; !bytes.Equal(row, make([]byte, 16)) {
			fmt.Fprintf(&b, "%08x %s\n", at, hex.EncodeToString(row))
		}
	}
	name := filepath.Join("testdata", "gpt.hex")
	if os.Getenv("UPDATE") != "" {
		os.WriteFile(name, []byte(b.String()), 0o644)
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Error(d)
	}
}

func TestDamage(t *testing.T) {
	want := sample(GPT, 512)
	disk := render(t, want)
	for _, tt := range []struct {
		at     int
		damage string
	}{{520, "first copy"}, {1024 + 56, "first copy"}, {len(disk) - 500, "second copy"}, {len(disk) - 33*512 + 33, "second copy"}} {
		bad := bytes.Clone(disk)
		bad[tt.at] ^= 4
		got, err := Read(bytes.NewReader(bad), want.Size, 512)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got.Damage, tt.damage) {
			t.Errorf("flipped at %d: %q", tt.at, got.Damage)
		}
		if got.Damage = ""; !reflect.DeepEqual(got, want) {
			t.Errorf("flipped at %d: another table", tt.at)
		}
	}
	bad := bytes.Clone(disk)
	bad[520] ^= 4
	bad[len(bad)-500] ^= 4
	if _, err := Read(bytes.NewReader(bad), want.Size, 512); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Error("both copies damaged:", err)
	}
	if _, err := Read(bytes.NewReader(make([]byte, mib)), mib, 0); !errors.Is(err, ErrNoTable) {
		t.Error("nothing but zeros:", err)
	}
	fat := make([]byte, mib)
	copy(fat[82:], "FAT32   ")
	fat[510], fat[511] = 0x55, 0xaa
	if _, err := Read(bytes.NewReader(fat), mib, 0); !errors.Is(err, ErrNoTable) {
		t.Error("a FAT:", err)
	}
}

func TestResized(t *testing.T) {
	small := sample(GPT, 512)
	large, err := small.Resized(100*mib+5*512, 4)
	if err != nil {
		t.Fatal(err)
	}
	if p := large.Parts[3]; p.Start+p.Size != 99*mib { // the copy takes 33 sectors of the last MiB
		t.Errorf("ends at %d", p.Start+p.Size)
	}
	disk := render(t, large)
	got, err := Read(bytes.NewReader(disk), int64(len(disk)), 512)
	if err != nil || got.Damage != "" || !reflect.DeepEqual(got, large) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := small.Resized(40*mib, 0); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Error("shrunk:", err)
	}
	if _, err := small.Resized(100*mib, 9); err == nil {
		t.Error("a partition that is not there grew")
	}
	middle, err := small.Resized(100*mib, 3)
	if err != nil || middle.Parts[2] != small.Parts[2] {
		t.Error("a partition grew into the next:", err)
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Table)
		want   string
	}{
		{"overlap", func(t *Table) { t.Parts[1].Start -= mib; t.Parts[1].Size += mib }, "partitions 1 and 2 overlap"},
		{"beyond", func(t *Table) { t.Parts[3].Size = 63 * mib }, "larger"},
		{"header", func(t *Table) { t.Parts[0].Start = 1024 }, "partition 1"},
		{"unaligned", func(t *Table) { t.Parts[0].Size++ }, "whole sectors"},
		{"empty", func(t *Table) { t.Parts[0].Size = 0 }, "partition 1"},
		{"name", func(t *Table) { t.Parts[0].Name = strings.Repeat("n", 37) }, "36"},
		{"type", func(t *Table) { t.Parts[0].Type = GUID{} }, "no type"},
		{"code", func(t *Table) { t.BootCode = make([]byte, 441) }, "440"},
		{"sector", func(t *Table) { t.Sector = 1024 }, "512 or 4096"},
		{"size", func(t *Table) { t.Size += 100 }, "whole sectors"},
		{"tiny", func(t *Table) { t.Size = 8192 }, "no room"},
		{"kind", func(t *Table) { t.Kind = "bsd" }, "bsd"},
		{"five", func(t *Table) { t.Kind = MBR; t.Parts = append(t.Parts, t.Parts...) }, "holds 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := sample(GPT, 512)
			tt.change(table)
			if _, err := table.Head(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v lacks %q", err, tt.want)
			}
		})
	}
}

// logical is an MBR with an extended partition that holds two logical ones.
func logical() []byte {
	disk := make([]byte, 64*512)
	put := func(sector, slot int, kind byte, start, count uint32) {
		e := disk[sector*512+mbrTable+16*slot:]
		e[4] = kind
		le.PutUint32(e[8:], start)
		le.PutUint32(e[12:], count)
		disk[sector*512+510], disk[sector*512+511] = 0x55, 0xaa
	}
	put(0, 0, 0x83, 1, 7)
	put(0, 1, 0x05, 8, 40)
	put(8, 0, 0x83, 2, 10)
	put(8, 1, 0x05, 20, 20) // relative to the extended partition
	put(28, 0, 0x82, 1, 10)
	return disk
}

func TestLogical(t *testing.T) {
	disk := logical()
	got, err := Read(bytes.NewReader(disk), int64(len(disk)), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []Part{{Number: 1, Start: 512, Size: 7 * 512, MBRType: 0x83}, {Number: 5, Start: 10 * 512, Size: 5120, MBRType: 0x83},
		{Number: 6, Start: 29 * 512, Size: 5120, MBRType: 0x82}}
	if d := cmp.Diff(want, got.Parts); d != "" {
		t.Error(d)
	}
	le.PutUint32(disk[28*512+mbrTable+16+8:], 0) // back to the first
	le.PutUint32(disk[28*512+mbrTable+16+12:], 20)
	disk[28*512+mbrTable+16+4] = 0x05
	if _, err := Read(bytes.NewReader(disk), int64(len(disk)), 0); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Error("a circle:", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, kind := range []string{GPT, MBR, Hybrid} {
		for _, sector := range []int{512, 4096} {
			s := sample(kind, sector)
			s.Size, s.Parts = 128<<10, s.Parts[:1]
			s.Parts[0].Start, s.Parts[0].Size = 32<<10, 32<<10
			disk := make(memory, s.Size)
			if err := s.WriteAt(disk); err != nil {
				f.Fatal(err)
			}
			f.Add([]byte(disk))
			f.Add(append(make([]byte, 4096), disk[4096:]...))
		}
	}
	f.Add(logical())
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Read(bytes.NewReader(b), int64(len(b)), 0)
		if err != nil || got.Kind == MBR { // logical partitions are not written
			return
		}
		disk := render(t, got)
		again, err := Read(bytes.NewReader(disk), int64(len(disk)), got.Sector)
		got.Damage = ""
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("%+v became %+v, %v", got, again, err)
		}
	})
}
