package pgtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// StartSmall starts a server whose tables are on a disk of that many bytes. fill takes all room that is left, until the function
// that it returns gives it back.
func StartSmall(t testing.TB, bytes int) (s *Server, fill func() (free func())) {
	t.Helper()
	if _, err := binaries(); err != nil {
		Missing(t, err)
	}
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	if s, err = copyOf(from); err != nil {
		t.Fatal(err)
	}
	disk, tables := filepath.Join(s.dir, "disk"), filepath.Join(s.dir, "data", "base")
	t.Cleanup(func() {
		s.Kill()
		_ = unmount(disk)
		_ = os.RemoveAll(s.dir)
	})
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := mountMemory(disk, bytes); err != nil {
		privileged(t, "mounting a small disk", err)
	}
	if out, err := exec.Command("cp", "-a", tables+"/.", disk).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	if err := errors.Join(os.RemoveAll(tables), os.Symlink(disk, tables), s.Restart()); err != nil {
		t.Fatal(err)
	}
	return s, func() func() {
		t.Helper()
		name := filepath.Join(disk, "filled")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for size := 1 << 20; size > 0; size /= 2 {
			for err = nil; err == nil; {
				_, err = f.Write(make([]byte, size))
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("filling the disk: %v", err)
			}
		}
		return func() {
			if err := os.Remove(name); err != nil {
				t.Error(err)
			}
		}
	}
}

// privileged skips a test, in CI too, whose user may not do what it needs: no tool is missing that could be installed.
func privileged(t testing.TB, what string, err error) {
	t.Helper()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || os.Getuid() != 0 {
		t.Skipf("SKIPPED: %s needs root: %v", what, err)
	}
	t.Fatalf("%s: %v", what, err)
}

// Elsewhere makes the database reachable over TCP, at a host of a network of its own. vanish has that host say nothing more,
// neither that a connection has ended nor that it takes none.
func Elsewhere(t testing.TB, dsn string) (host string, vanish func()) {
	t.Helper()
	to, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("ip")
	if err != nil {
		Missing(t, errors.New("ip (Debian: iproute2) is not installed"))
	}
	n := int(shared.n.Add(1))
	there := fmt.Sprintf("liked%d-%d", os.Getpid(), n)
	near, far := fmt.Sprintf("lk%da%d", os.Getpid(), n), fmt.Sprintf("lk%db%d", os.Getpid(), n)
	address := func(i int) string { return fmt.Sprintf("198.18.%d.%d", os.Getpid()%256, n%64*4+i) } // for tests of networks
	host = address(2)
	ip := func(args string) error {
		out, err := exec.Command(program, strings.Fields(args)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
		return nil
	}
	if err := ip("netns add " + there); err != nil {
		privileged(t, "a network of a test's own", err)
	}
	t.Cleanup(func() { _ = ip("netns del " + there) }) // and both ends of the line with it
	for _, args := range []string{
		"link add " + near + " type veth peer name " + far + " netns " + there,
		"addr add " + address(1) + "/30 dev " + near,
		"-n " + there + " addr add " + host + "/30 dev " + far,
		"link set " + near + " up",
		"-n " + there + " link set " + far + " up",
	} {
		if err := ip(args); err != nil {
			privileged(t, "a network of a test's own", err)
		}
	}
	listener, err := listenIn("/run/netns/"+there, net.JoinHostPort(host, fmt.Sprint(to.Port)))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	keep := func(c net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, c)
	}
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	socket := filepath.Join(to.Host, fmt.Sprintf(".s.PGSQL.%d", to.Port))
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			keep(client)
			keep(server)
			running.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
			running.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
		}
	})
	return host, func() {
		if err := ip("-n " + there + " addr flush dev " + far); err != nil {
			t.Error(err)
		}
	}
}

// listenIn listens in a network namespace.
func listenIn(namespace, address string) (l net.Listener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocks it: the thread, which stays in the namespace, ends with the goroutine
		var ns *os.File
		if ns, err = os.Open(namespace); err != nil {
			return
		}
		defer ns.Close()
		if err = enterNetwork(ns); err == nil {
			l, err = net.Listen("tcp", address)
		}
	}()
	<-done
	return l, err
}
