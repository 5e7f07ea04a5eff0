package answer

import (
	"fmt"
	"strings"
)

// findDisk is a part of a POSIX script that sets disk to the device that the
// facts name, and calls fail with a reason in why when there is not
// exactly one. No disk named: the machine must have one alone.
func findDisk(f Facts) string {
	serial, bySerial := strings.CutPrefix(f.Disk, "serial:")
	switch {
	case bySerial:
		return fmt.Sprintf(`want=%s
found=
for link in /dev/disk/by-id/*; do
	case $link in *-part[0-9]*) continue;; esac
	case ${link##*/} in *[-_]"$want"|*[-_]"$want"_[0-9]|*[-_]"$want"-[0-9]*:[0-9]*)
		device=$(readlink -f "$link")
		case " $found " in *" $device "*) ;; *) found="$found $device";; esac;;
	esac
done
for sys in /sys/block/*; do
	[ "$(cat "$sys/serial" "$sys/device/serial" 2>/dev/null | head -n 1 | tr -d ' ')" = "$want" ] || continue
	device=/dev/${sys##*/}
	case " $found " in *" $device "*) ;; *) found="$found $device";; esac
done
set -- $found
[ $# = 1 ] || { why="$# disks with the serial number $want"; fail; }
disk=$1
`, quote(serial))
	case f.Disk != "":
		return fmt.Sprintf(`want=%s
[ -b "$want" ] || { why="no disk $want"; fail; }
disk=$(readlink -f "$want")
`, quote(f.Disk))
	}
	return `found=
for sys in /sys/block/*; do
	case ${sys##*/} in loop*|ram*|sr*|zram*|fd*|dm-*|md*|nbd*) continue;; esac
	[ "$(cat "$sys/removable")" = 0 ] && [ "$(cat "$sys/size")" != 0 ] || continue
	found="$found /dev/${sys##*/}"
done
set -- $found
[ $# = 1 ] || { why="$# disks, and the definition names none"; fail; }
disk=$1
`
}
