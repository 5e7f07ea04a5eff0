package web

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"slipway/internal/fleet"
)

func TestJSONSaysWhatThePageShows(t *testing.T) {
	_, srv := serveDemo(t, 10)
	var list struct {
		Machines []Row
		Found    int
		States   map[string]int
	}
	fetch(t, srv.URL+"/api/machines?state=stuck&limit=1", &list)
	if len(list.Machines) != 1 || list.Found != 2 || list.States["proven"] != 4 || list.Machines[0].Problem == "" {
		t.Errorf("%+v", list)
	}
	var d Detail
	fetch(t, srv.URL+"/api/machines/node4", &d)
	if d.Why.Cause != "probe" || len(d.Boots) != 2 || len(d.Console) == 0 || d.Definition == "" {
		t.Errorf("node4: %+v %d boots", d.Why, len(d.Boots))
	}
	var why fleet.Answer
	fetch(t, srv.URL+"/api/machines/52:54:00:00:00:03/why", &why)
	if why.Machine != "node4" || why.State != fleet.StateStuck {
		t.Errorf("by hardware address: %+v", why)
	}
	if status := fetch(t, srv.URL+"/api/machines/nobody", nil); status != http.StatusNotFound {
		t.Errorf("an unknown machine answers %d", status)
	}
	var row Detail
	fetch(t, srv.URL+"/api/machines/node3", &row)
	if row.Row.Total == 0 || row.Row.Rate < 200e6 || row.Row.State != "waiting" {
		t.Errorf("progress: %+v", row.Row)
	}
}

func TestMetrics(t *testing.T) {
	_, srv := serveDemo(t, 10)
	body := text(t, srv.URL+"/metrics")
	for _, want := range []string{`slipway_machines{state="proven"} 4`, `slipway_machines_at_stage{stage="install"} 2`, "# TYPE slipway_problems_total counter", "slipway_records_durable 1"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing in\n%s", want, body)
		}
	}
}

func TestHeaders(t *testing.T) {
	_, srv := serveDemo(t, 1)
	for _, path := range []string{"/", "/login", "/api/machines", "/static/app.js", "/nothing", "/static/..%2fdoc.go", "/machine/x"} {
		r, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if csp := r.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be sniffed", path)
		}
		if strings.Contains(path, "doc.go") && r.StatusCode == 200 {
			t.Errorf("%s is served", path)
		}
	}
}

// from makes a request as a client elsewhere, or another site's page, would.
func from(s http.Handler, remote, method, path, body string, head map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://server.lan"+path, strings.NewReader(body))
	r.RemoteAddr = remote
	for k, v := range head {
		if k == "Host" {
			r.Host = v
			continue
		}
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestOnlyThisHostWithoutPassword(t *testing.T) {
	_, s := demo(t, 1)
	for name, tc := range map[string]struct {
		remote string
		head   map[string]string
		want   int
	}{
		"this host":             {"127.0.0.1:1", map[string]string{"Host": "localhost:80"}, 200},
		"this host, v6":         {"[::1]:1", map[string]string{"Host": "[::1]:80"}, 200},
		"another host":          {"10.0.0.9:1", nil, 403},
		"claims to be loopback": {"10.0.0.9:1", map[string]string{"Host": "localhost"}, 403},
		"rebound name":          {"127.0.0.1:1", map[string]string{"Host": "evil.example"}, 403},
		"through a proxy":       {"127.0.0.1:1", map[string]string{"Host": "localhost", "X-Forwarded-For": "1.2.3.4"}, 403},
	} {
		if got := from(s, tc.remote, "GET", "/api/machines", "", tc.head).Code; got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func TestOwnAddressIsThisHost(t *testing.T) {
	for name, tc := range map[string]struct {
		local, remote, host string
		want                bool
	}{
		"own address":      {"192.0.2.1:80", "192.0.2.1:5000", "192.0.2.1", true},
		"a neighbour":      {"192.0.2.1:80", "192.0.2.9:5000", "192.0.2.1", false},
		"a name elsewhere": {"192.0.2.1:80", "192.0.2.1:5000", "evil.example", false},
	} {
		local, err := net.ResolveTCPAddr("tcp", tc.local)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "http://"+tc.host+"/", nil)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
		r.RemoteAddr = tc.remote
		if got := onThisHost(r); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestLogin(t *testing.T) {
	token, hash, err := NewToken()
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.New(t.Context(), fleet.NewMemory(fleet.Limits{}), fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := New(t.Context(), f, Options{Password: hash})
	const lan = "10.0.0.9:1"
	if w := from(s, lan, "GET", "/", "", nil); w.Code != 303 || w.Header().Get("Location") != "/login" {
		t.Errorf("the page answers %d", w.Code)
	}
	if w := from(s, lan, "GET", "/api/machines", "", nil); w.Code != 401 {
		t.Errorf("JSON answers %d", w.Code)
	}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	if w := from(s, lan, "POST", "/login", "password=wrong", form); w.Header().Get("Location") != "/login?wrong" || len(w.Result().Cookies()) > 0 {
		t.Error("a wrong password opens")
	}
	w := from(s, lan, "POST", "/login", url.Values{"password": {token}}.Encode(), form)
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("cookies %+v", cookies)
	}
	session := map[string]string{"Cookie": cookies[0].Name + "=" + cookies[0].Value}
	if w := from(s, lan, "GET", "/api/machines", "", session); w.Code != 200 {
		t.Errorf("with a session: %d", w.Code)
	}
	if w := from(s, lan, "GET", "/metrics", "", map[string]string{"Authorization": "Bearer " + token}); w.Code != 200 {
		t.Errorf("a program with the token: %d", w.Code)
	}
	if w := from(s, lan, "POST", "/logout", "", session); w.Code != 403 {
		t.Errorf("logged out by another site: %d", w.Code)
	}
}

func TestActionsNeedThePagesToken(t *testing.T) {
	f, s := demo(t, 1)
	_ = f
	local := map[string]string{"Host": "localhost"}
	var info struct{ CSRF string }
	if err := json.Unmarshal(from(s, "127.0.0.1:1", "GET", "/api/info", "", local).Body.Bytes(), &info); err != nil || info.CSRF == "" {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		path string
		head map[string]string
		want int
	}{
		"no token":       {"/api/machines/node1/wake", nil, 403},
		"wrong token":    {"/api/machines/node1/wake", map[string]string{headerCSRF: "x"}, 403},
		"another site":   {"/api/machines/node1/wake", map[string]string{headerCSRF: info.CSRF, "Origin": "http://evil.example"}, 403},
		"cross-site":     {"/api/machines/node1/wake", map[string]string{headerCSRF: info.CSRF, "Sec-Fetch-Site": "cross-site"}, 403},
		"unknown action": {"/api/machines/node1/explode", map[string]string{headerCSRF: info.CSRF}, 404},
		"nobody":         {"/api/machines/nobody/wake", map[string]string{headerCSRF: info.CSRF}, 404},
		"the page":       {"/api/machines/node1/wake", map[string]string{headerCSRF: info.CSRF, "Origin": "http://localhost"}, 200},
	} {
		head := map[string]string{"Host": "localhost"}
		for k, v := range tc.head {
			head[k] = v
		}
		if w := from(s, "127.0.0.1:1", "POST", tc.path, "", head); w.Code != tc.want {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, tc.want, w.Body)
		}
	}
}

func TestChangesAreSentAtOnce(t *testing.T) {
	f, srv := serveDemo(t, 3)
	r, err := http.Get(srv.URL + "/api/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() && lines.Text() != "event: hello" {
	}
	began := time.Now()
	f.Record(fleet.Event{Client: "52:54:00:00:00:01", Kind: fleet.KindNodeProblem, Problem: "no disk"})
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"problem":"no disk"`) {
			took := time.Since(began)
			t.Logf("sent after %v", took)
			if took > time.Second {
				t.Errorf("a change took %v to be sent", took)
			}
			return
		}
	}
	t.Error("the change was never sent")
}

func TestPasswordFiles(t *testing.T) {
	for _, bad := range []string{"", "secret", "pbkdf2-sha256$1$00$00", "pbkdf2-sha256$200000$zz$zz"} {
		if _, err := ParsePassword(bad); err == nil {
			t.Errorf("%q is taken for a hash", bad)
		}
	}
	if _, err := HashPassword("short"); err == nil {
		t.Error("a short password is taken")
	}
}

func fetch(t *testing.T, url string, v any) int {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if v != nil {
		if err := json.NewDecoder(r.Body).Decode(v); err != nil {
			t.Fatal(err)
		}
	}
	return r.StatusCode
}

func text(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
