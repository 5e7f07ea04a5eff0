package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func digestOf(b []byte) string { d := sha256.Sum256(b); return hex.EncodeToString(d[:]) }

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// content serves data with ranges.
func content(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

func quick() *Fetcher { return &Fetcher{BackOff: time.Millisecond, Stall: 5 * time.Second} }

func TestFetch(t *testing.T) {
	dir := t.TempDir()
	var items []Item
	var url string
	files := map[string][]byte{}
	url = serve(t, func(w http.ResponseWriter, r *http.Request) { content(files[r.URL.Path])(w, r) })
	for i := range 30 {
		data := bytes.Repeat([]byte{byte(i)}, i*1000)
		path := fmt.Sprintf("/f%d", i)
		files[path] = data
		items = append(items, Item{URLs: []string{url + path}, Size: int64(len(data)), SHA256: digestOf(data), Dest: filepath.Join(dir, path)})
	}
	if err := quick().Fetch(context.Background(), items); err != nil {
		t.Fatal(err)
	}
	for path, data := range files {
		got, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
