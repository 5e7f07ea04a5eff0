package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a program that is measured.
type server struct {
	cmd *exec.Cmd
}

// start runs a program on the first processor and waits until ready says so.
func start(ready func() bool, name string, args ...string) (*server, error) {
	cmd := exec.Command("taskset", append([]string{"-c", "0", name}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			return nil, fmt.Errorf("%s does not answer", name)
		}
	}
	return &server{cmd}, nil
}

func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
}

// cpu is the processor time of the server and its children so far.
func (s *server) cpu() time.Duration {
	total := time.Duration(0)
	for _, pid := range append(children(s.cmd.Process.Pid), s.cmd.Process.Pid) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		if len(f) < 13 {
			continue
		}
		user, _ := strconv.Atoi(f[11])
		system, _ := strconv.Atoi(f[12])
		total += time.Duration(user+system) * 10 * time.Millisecond
	}
	return total
}

// peak is the most memory that the server had, in MiB.
func (s *server) peak() float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	var kb float64
	fmt.Sscan(rest, &kb)
	return kb / 1024
}

func children(pid int) (all []int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, f := range strings.Fields(string(b)) {
		n, _ := strconv.Atoi(f)
		all = append(all, n)
	}
	return all
}

func slipway(dir string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(answers(httpPort), self, "-serve", dir)
}

const nginxConfig = `daemon off; worker_processes 1; pid %[1]s/nginx.pid; error_log stderr; user root;
events { worker_connections 8192; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;
 client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
 server { listen 127.0.0.1:%[2]s; root %[1]s; } }`

func nginx(dir string) (*server, error) {
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(fmt.Sprintf(nginxConfig, dir, peerPort)), 0o644); err != nil {
		return nil, err
	}
	return start(answers(peerPort), "nginx", "-e", "stderr", "-c", config)
}

func dnsmasq(dir string) (*server, error) {
	return start(func() bool { return tftpAnswers() }, "dnsmasq", "-k", "-p", "0", "-C", "/dev/null", "--user=root",
		"--listen-address=127.0.0.1", "--bind-interfaces", "--enable-tftp", "--tftp-root="+dir, "--tftp-max=2000", "--log-facility=/dev/null", "--quiet-tftp",
		"--pid-file="+filepath.Join(dir, "dnsmasq.pid"))
}

func answers(port string) func() bool {
	return func() bool {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
}

func tftpAnswers() bool {
	c, err := net.Dial("udp", "127.0.0.1:69")
	if err != nil {
		return false
	}
	defer c.Close()
	c.Write([]byte("\x00\x01none\x00octet\x00"))
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	n, _ := net.Conn(c).Read(make([]byte, 100))
	return n > 0 || portTaken()
}

// portTaken: an answer may come from another port, which a connected socket
// does not hear.
func portTaken() bool {
	c, err := net.ListenPacket("udp4", "127.0.0.1:69")
	if err == nil {
		c.Close()
	}
	return err != nil
}
