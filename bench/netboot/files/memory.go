package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// memoryRow: a thousand machines read an image by HTTP while a thousand read
// their loader by TFTP.
func memoryRow(dir string, runs int, length time.Duration) (string, error) {
	var peaks []float64
	for range min(runs, 3) {
		s, err := slipway(dir)
		if err != nil {
			return "", err
		}
		idle := s.peak()
		path, err := os.ReadFile(filepath.Join(dir, "path"))
		if err != nil {
			return "", err
		}
		failed := make(chan error, 1)
		go func() {
			_, err := loadTFTP(1000, 4)
			failed <- err
		}()
		bytes, _, _ := loadHTTP(s, httpPort, string(path), 1000, max(length, 3*time.Second))
		err = <-failed
		peak := s.peak()
		s.stop()
		if err != nil || bytes == 0 {
			return "", fmt.Errorf("a thousand clients: %v, %.0f bytes", err, bytes)
		}
		peaks = append(peaks, peak)
		fmt.Fprintf(os.Stderr, "memory: idle %.0f MiB, peak %.0f MiB\n", idle, peak)
	}
	return fmt.Sprintf("## Memory: 1,000 clients by HTTP and 1,000 by TFTP at once\n\nThe server's peak is %s MiB (must: 150, aim: 80; DHCP and the store come on top of it).\n", spread(peaks, "%.0f")), nil
}
