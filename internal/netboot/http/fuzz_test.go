package http

import (
	"bufio"
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"slipway/internal/netboot/token"
)

// FuzzRequest: whatever stands in a request, the answer is no redirect, has no
// empty header, and a name that is handed on leaves nothing.
func FuzzRequest(f *testing.F) {
	book, err := token.Open(context.Background(), nil)
	if err != nil {
		f.Fatal(err)
	}
	tok := book.Mint(token.Claim{Client: "52:54:00:00:00:01"})
	for _, path := range []string{"/b/" + tok + "/x", "//b//" + tok + "/../x", "/a/sha256-00", "/b/%2e%2e/%2F", "http://h/b/" + tok, "/n/" + tok + `/\..\x`, "*"} {
		f.Add("GET "+path+" HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n", tok)
	}
	f.Add("POST /n/"+tok+"/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", tok)
	f.Fuzz(func(t *testing.T, raw, _ string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		r.RemoteAddr = "10.0.0.5:1234"
		check := func(name string) {
			if strings.HasPrefix(name, "/") || strings.ContainsRune(name, 0) || name == ".." || strings.Contains("/"+strings.ReplaceAll(name, `\`, "/")+"/", "/../") {
				t.Errorf("the name is %q", name)
			}
		}
		s := &Server{Tokens: book, Artefacts: &Artefacts{}, Boot: func(_ context.Context, c Call) (Content, error) {
			check(c.Name)
			if len(c.Name)%2 == 0 {
				return Content{}, fs.ErrNotExist
			}
			return Content{Bytes: []byte("content")}, nil
		}, Node: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { check(CallOf(r).Name) })}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code >= 300 && w.Code < 400 && w.Code != http.StatusNotModified {
			t.Errorf("answered %d", w.Code)
		}
		for name, values := range w.Header() {
			if values[0] == "" {
				t.Errorf("the header %s is empty", name)
			}
		}
	})
}
