package entries

import (
	"strconv"
	"strings"
)

// Console is a terminal of the kernel: console=ttyS0,115200n8.
type Console struct {
	Device string // ttyS0
	Unit   int    // the number at the end of Device
	Speed  int    // 0: not said
	Serial bool   // a PC's serial port
}

// Consoles reads the console= words of a command line, in their order.
func Consoles(cmdline string) []Console {
	var all []Console
	for _, word := range strings.Fields(cmdline) {
		if v, ok := strings.CutPrefix(word, "console="); ok && v != "" {
			all = append(all, ParseConsole(v))
		}
	}
	return all
}

// ParseConsole reads what follows console=.
func ParseConsole(v string) Console {
	dev, options, _ := strings.Cut(v, ",")
	c := Console{Device: dev}
	digits := strings.TrimRight(dev, "0123456789")
	c.Unit, _ = strconv.Atoi(dev[len(digits):])
	end := 0
	for end < len(options) && options[end] >= '0' && options[end] <= '9' {
		end++
	}
	c.Speed, _ = strconv.Atoi(options[:end])
	c.Serial = digits == "ttyS"
	return c
}
