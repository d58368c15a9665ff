package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A program in a mount namespace of its own sees another hosts file, resolv.conf and set of authorities than all others, and so
// finds X's hosts on a loopback address. This process cannot enter such a namespace, since it has several threads: it starts
// itself once more in one. That process, which is told a plan, listens and mounts, hands the listeners back, and becomes the
// program. Listeners stay in the network namespace in which they were made, where this process accepts.

// insideArg is the argument with which this program starts itself in a namespace.
const insideArg = "(inside)"

type plan struct {
	Offline bool
	Listen  []listening
	Mounts  []mount
}

type listening struct {
	Network, Address string
	Optional         bool
}

// The listeners of a plan, by which the sockets that come back are known.
const (
	listenTLS    = iota // X's hosts
	listenHTTP          // where a call to them without TLS goes
	listenPlain         // this server by an address
	listenAdmin         // the operator's side
	listenDNS           // names over UDP
	listenDNSTCP        // names over TCP
)

// mount shows Source at Target. Needs is the network of a listener without which it is left out.
type mount struct{ Source, Target, Needs string }

// readiness is what the process in the namespace answers, with the files of the listeners.
type readiness struct {
	Error  string
	Failed []bool // of the listeners, those that are optional and failed
}

// become is what the process in the namespace turns into.
type become struct {
	Path          string
	Args, Environ []string
}

const maxMessage = 4 << 20 // more than an environment may have

// Inside never returns in a process that was started to become a program in a namespace, and does nothing in all others. The
// main function calls it first.
func Inside() {
	if len(os.Args) != 2 || os.Args[1] != insideArg {
		return
	}
	runtime.LockOSThread()
	syscall.CloseOnExec(3)
	f := os.NewFile(3, "plan")
	c, err := net.FileConn(f)
	if err != nil {
		fmt.Fprintln(os.Stderr, "liked: this is started by liked run alone:", err)
		os.Exit(1)
	}
	conn := c.(*net.UnixConn)
	if err := inside(conn); err != nil {
		_ = send(conn, readiness{Error: err.Error()}, nil)
		os.Exit(126)
	}
}

func inside(conn *net.UnixConn) error {
	var p plan
	if _, err := receive(conn, &p); err != nil {
		return err
	}
	if p.Offline {
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("the loopback interface: %w", err)
		}
	}
	var files []*os.File
	var r readiness
	there := make(map[string]bool)
	for _, l := range p.Listen {
		file, err := l.listen()
		if err != nil && !l.Optional {
			return err
		}
		r.Failed = append(r.Failed, err != nil)
		if err == nil {
			files, there[l.Network] = append(files, file), true
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	for _, m := range p.Mounts {
		if m.Needs != "" && !there[m.Needs] {
			continue
		}
		if err := unix.Mount(m.Source, m.Target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount over %s: %w", m.Target, err)
		}
	}
	if err := send(conn, r, files); err != nil {
		return err
	}
	for _, f := range files {
		_ = f.Close()
	}
	var b become
	if _, err := receive(conn, &b); err != nil {
		return err
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	return syscall.Exec(b.Path, b.Args, b.Environ)
}

// dropCapabilities keeps what was needed to mount from the program: of a user's it has none.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	return unix.Capset(&header, &sets[0])
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

func (l listening) listen() (*os.File, error) {
	var socket interface{ File() (*os.File, error) }
	switch l.Network {
	case "udp":
		c, err := net.ListenPacket("udp", l.Address)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		socket = c.(*net.UDPConn)
	default:
		c, err := net.Listen("tcp", l.Address)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		socket = c.(*net.TCPListener)
	}
	return socket.File()
}

// send sends a message and files, of which the other process gets copies.
func send(conn *net.UnixConn, message any, files []*os.File) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	var rights []byte
	if len(files) > 0 {
		var fds []int
		for _, f := range files {
			fds = append(fds, int(f.Fd()))
		}
		rights = unix.UnixRights(fds...)
	}
	text = append(text, '\n')
	n, _, err := conn.WriteMsgUnix(text, rights, nil)
	if err == nil && n < len(text) { // a long one; after the whole, who read it may be gone
		_, err = conn.Write(text[n:])
	}
	return err
}

// receive reads a message, which ends with a line, and the files that came with it.
func receive(conn *net.UnixConn, message any) (files []*os.File, err error) {
	var text []byte
	buffer, rights := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(64*4))
	for !bytes.HasSuffix(text, []byte("\n")) {
		n, rn, _, _, err := conn.ReadMsgUnix(buffer, rights)
		if err != nil {
			return files, err
		}
		if n == 0 {
			return files, errEnded
		}
		if text = append(text, buffer[:n]...); len(text) > maxMessage {
			return files, errors.New("the message is too long")
		}
		messages, err := unix.ParseSocketControlMessage(rights[:rn])
		if err != nil {
			return files, err
		}
		for _, m := range messages {
			fds, err := unix.ParseUnixRights(&m)
			if err != nil {
				return files, err
			}
			for _, fd := range fds {
				unix.CloseOnExec(fd)
				files = append(files, os.NewFile(uintptr(fd), "listener"))
			}
		}
	}
	return files, json.Unmarshal(text, message)
}

var errEnded = errors.New("the process in the namespace ended")

// inNamespace starts the command in namespaces of its own. An error that is a cannot means that there can be none.
func (f *Front) inNamespace(c Command, path, dir string) (*exec.Cmd, error) {
	address := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(256)), byte(1 + rand.IntN(254))})
	if c.Offline {
		address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	e := environment{parseEnviron(os.Environ()), Variables{}}
	t, err := f.authority.writeTrust(dir, e.had)
	if err != nil {
		return nil, err
	}
	at := func(port string) string { return net.JoinHostPort(address.String(), port) }
	p := plan{Offline: c.Offline, Listen: []listening{
		listenTLS:    {"tcp", at("443"), false},
		listenHTTP:   {"tcp", at("80"), true},
		listenPlain:  {"tcp", at("0"), false},
		listenAdmin:  {"tcp", at("0"), false},
		listenDNS:    {"udp", at("53"), true},
		listenDNSTCP: {"tcp", at("53"), true}}}
	if p.Mounts, err = f.mounts(dir, t, address); err != nil {
		return nil, err
	}
	cmd, conn, err := start(c, p)
	if err != nil {
		return nil, cannot{err}
	}
	defer conn.Close()
	end := func(err error) (*exec.Cmd, error) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	var r readiness
	files, err := receive(conn, &r)
	defer func() {
		for _, file := range files {
			_ = file.Close()
		}
	}()
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		return end(cannot{err})
	}
	api, admin, err := f.listenInside(files, r.Failed, c)
	if err != nil {
		return end(err)
	}
	e.trust(t)
	e.bypass()
	environ := e.sets.over(append(os.Environ(), c.Environ(api, admin)...))
	if err := send(conn, become{path, c.Args, environ}, nil); err != nil {
		return end(err)
	}
	r = readiness{}
	if _, err := receive(conn, &r); err == nil {
		return end(NotStarted{126, errors.New(r.Error)})
	} // otherwise it ended, since the program has no such connection
	return cmd, nil
}

// cannot is why there is no namespace.
type cannot struct{ error }

// start starts this program in namespaces, with as few new ones as its rights allow.
func start(c Command, p plan) (cmd *exec.Cmd, conn *net.UnixConn, err error) {
	flags := uintptr(unix.CLONE_NEWNS)
	if c.Offline {
		flags |= unix.CLONE_NEWNET
	}
	user := &syscall.SysProcAttr{Cloneflags: flags | unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE}}
	ways := []*syscall.SysProcAttr{user}
	if os.Getuid() == 0 {
		ways = []*syscall.SysProcAttr{{Cloneflags: flags}, user}
	}
	for _, way := range ways {
		var pair [2]int
		if pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return nil, nil, err
		}
		ours, theirs := os.NewFile(uintptr(pair[0]), "namespace"), os.NewFile(uintptr(pair[1]), "namespace")
		cmd = &exec.Cmd{Path: "/proc/self/exe", Args: []string{os.Args[0], insideArg}, SysProcAttr: way, ExtraFiles: []*os.File{theirs},
			Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr}
		err = cmd.Start()
		_ = theirs.Close()
		var generic net.Conn
		if err == nil {
			generic, err = net.FileConn(ours)
		}
		_ = ours.Close()
		if err == nil {
			conn = generic.(*net.UnixConn)
			return cmd, conn, send(conn, p, nil)
		}
	}
	return nil, nil, fmt.Errorf("namespaces: %w", err)
}

// listenInside serves on the listeners of a plan, and returns where the server and its operator's side are.
func (f *Front) listenInside(files []*os.File, failed []bool, c Command) (api, admin string, err error) {
	var sockets []any // nil: failed
	for _, failed := range failed {
		if failed {
			sockets = append(sockets, nil)
			continue
		}
		if len(files) == 0 {
			return "", "", errors.New("a listener is missing")
		}
		var socket any
		if l, listenErr := net.FileListener(files[0]); listenErr == nil {
			socket = l
		} else if socket, err = net.FilePacketConn(files[0]); err != nil {
			return "", "", err
		}
		sockets, files = append(sockets, socket), files[1:]
	}
	f.ServeTLS(sockets[listenTLS].(net.Listener))
	if l, ok := sockets[listenHTTP].(net.Listener); ok {
		f.ServePlain(l)
	}
	plain, operator := sockets[listenPlain].(net.Listener), sockets[listenAdmin].(net.Listener)
	f.ServePlain(plain)
	if c.Offline && c.Admin != "" {
		f.serveTo(operator, c.Admin)
		admin = "http://" + operator.Addr().String()
	} else {
		_ = operator.Close()
	}
	names := resolver{log: &f.Log, address: plain.Addr().(*net.TCPAddr).AddrPort().Addr()}
	if !c.Offline {
		names.upstream = nameservers("/etc/resolv.conf")
	}
	if u, ok := sockets[listenDNS].(net.PacketConn); ok {
		f.serveNames(names, u, sockets[listenDNSTCP])
	}
	return "http://" + plain.Addr().String(), admin, nil
}

// mounts makes what the program sees in place of the system's files.
func (f *Front) mounts(dir string, t trustFiles, address netip.Addr) (all []mount, err error) {
	write := func(name string, text []byte, target, needs string) {
		if real, missing := filepath.EvalSymlinks(target); missing == nil {
			source := filepath.Join(dir, name)
			err = errors.Join(err, os.WriteFile(source, text, 0o644))
			all = append(all, mount{source, real, needs})
		}
	}
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		return nil, err
	}
	write("hosts", hostsFile(hosts, address), "/etc/hosts", "")
	if resolv, err := os.ReadFile("/etc/resolv.conf"); err == nil {
		write("resolv.conf", resolvConf(resolv, address), "/etc/resolv.conf", "udp")
	}
	if info, err := os.Stat("/var/run/nscd"); err == nil && info.IsDir() { // it answers with the system's hosts
		all = append(all, mount{t.php, "/var/run/nscd", ""})
	}

	bundle, err2 := os.ReadFile(t.bundle)
	err = errors.Join(err, err2)
	const hashed = "/etc/ssl/certs" // in which OpenSSL looks for files by the hash of their subject
	copied := filepath.Join(dir, "certs")
	if info, missing := os.Stat(hashed); missing == nil && info.IsDir() {
		name, hashErr := f.authority.hashName()
		err = errors.Join(err, hashErr, os.CopyFS(copied, os.DirFS(hashed)))
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, name), f.authority.PEM(), 0o644)
		}
		all = append(all, mount{copied, hashed, ""})
	}
	for i, file := range bundles {
		real, missing := filepath.EvalSymlinks(file)
		switch {
		case missing != nil || slices.ContainsFunc(all, func(m mount) bool { return m.Target == real }):
		case filepath.Dir(real) == hashed:
			inside := filepath.Join(copied, filepath.Base(real))
			_ = os.Remove(inside)
			err = errors.Join(err, os.WriteFile(inside, bundle, 0o644))
		default:
			write(fmt.Sprintf("bundle%d.pem", i), bundle, real, "")
		}
	}
	return all, err
}

// hostsFile is a hosts file with X's hosts at the address, and no other line about X.
func hostsFile(old []byte, address netip.Addr) []byte {
	var b bytes.Buffer
	for _, host := range Hosts {
		fmt.Fprintf(&b, "%s %s\n", address, host)
	}
	for line := range bytes.Lines(old) {
		words := strings.Fields(strings.SplitN(string(line), "#", 2)[0])
		if !slices.ContainsFunc(words, isX) {
			b.Write(line)
		}
	}
	return b.Bytes()
}

// resolvConf is a resolv.conf that asks the address alone.
func resolvConf(old []byte, address netip.Addr) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "nameserver %s\n", address)
	for line := range bytes.Lines(old) {
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("nameserver")) {
			b.Write(line)
		}
	}
	return b.Bytes()
}
