package compat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// snippet is a fenced block of a document.
type snippet struct {
	info string // what stands behind the opening fence
	text string
}

var fence = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")

func snippets(t *testing.T, document string) (found []snippet) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", document))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fence.FindAllSubmatch(text, -1) {
		found = append(found, snippet{string(m[1]), string(m[2])})
	}
	return found
}

// TestDocuments runs what the documents tell their readers to run, as it is written:
//
//	sh         runs with bash in the repository, with the variables that the blocks before have set; a block "json" or
//	           "text" right behind it is what it must print
//	sh server  runs until the other blocks are done
//	sh test    names a command that CI runs by itself
//	go         is a test in a module of its own
//	ts, java, py  must stand in the sources of the client of that language, which run elsewhere
func TestDocuments(t *testing.T) {
	documents := []string{"README.md", "CONTRIBUTING.md"}
	more, err := filepath.Glob("../docs/*.md")
	if err != nil || len(more) == 0 {
		t.Fatal("no documents in docs")
	}
	for _, path := range more {
		documents = append(documents, strings.TrimPrefix(path, "../"))
	}
	for _, port := range []string{"8180", "8181", "8090", "8091"} { // the documents' servers listen there
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			if required("docs") {
				t.Fatal(err)
			}
			t.Skipf("the documents' commands need port %s: %v", port, err)
		}
		l.Close()
	}
	for _, document := range documents {
		t.Run(document, func(t *testing.T) {
			runDocument(t, snippets(t, document))
		})
	}
}

func runDocument(t *testing.T, blocks []snippet) {
	ctx, cancel := beforeTimeout(t)
	defer cancel()
	root := checkout(t)
	sh := newShell(t, root)
	for i, b := range blocks {
		switch b.info {
		case "sh":
			out, stderr, err := sh.run(ctx, b.text)
			if err != nil {
				t.Fatalf("%s\n%v\n%s%s", b.text, err, out, stderr)
			}
			if i+1 < len(blocks) && (blocks[i+1].info == "json" || blocks[i+1].info == "text") {
				if want := strings.TrimSpace(blocks[i+1].text); strings.TrimSpace(out) != want {
					t.Errorf("%s\nprinted %q, want %q", b.text, out, want)
				}
			}
		case "sh server":
			startDocumented(t, root, b.text)
		case "sh test":
			ci, err := os.ReadFile(filepath.Join("..", ".ci", "run"))
			if err != nil || !bytes.Contains(ci, []byte("\n"+b.text)) {
				t.Errorf("CI does not run %q (%v)", b.text, err)
			}
		case "go":
			runGo(ctx, t, root, b.text)
		case "ts":
			inSources(t, ".ts", b.text, "typescript", "control")
		case "java":
			inSources(t, ".java", b.text, "java", "control")
		case "py":
			inSources(t, ".py", b.text, "control")
		case "json", "text": // what the block before prints
		default:
			t.Errorf("no way to try a block of kind %q:\n%s", b.info, b.text)
		}
	}
}

// checkout returns a directory in which the documents' commands may run and write: the sources by links, nothing else.
func checkout(t *testing.T) string {
	root := t.TempDir()
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	source, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Symlink(filepath.Join(source, e.Name()), filepath.Join(root, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// shell runs the scripts of a document, one after the other, in a directory and in a process group.
type shell struct {
	dir   string
	group int
}

// newShell returns a shell. What its scripts leave running is killed when the test ends.
func newShell(t *testing.T, dir string) shell {
	t.Helper()
	leader := exec.Command("cat") // until it is waited for, no other process gets the number of the group
	leader.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := leader.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	sh := shell{dir, leader.Process.Pid}
	t.Cleanup(func() {
		_ = sh.kill()
		_ = leader.Wait() // it was killed
	})
	return sh
}

func (sh shell) kill() error { return syscall.Kill(-sh.group, syscall.SIGKILL) }

// run runs a script, with the variables that the last one in the directory left behind. It may leave something running
// for the next. If the script does not end within snippetLimit, everything in the group is killed.
func (sh shell) run(ctx context.Context, script string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, snippetLimit, fmt.Errorf("it took longer than %v", snippetLimit))
	defer cancel()
	script = "if [ -f .variables ]; then . ./.variables; fi\n" + script + "\nexport -p >.variables"
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = sh.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: sh.group}
	cmd.Cancel = sh.kill
	cmd.WaitDelay = 10 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = cmd.Run(); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return out.String(), errs.String(), err
}

// snippetLimit is far above what the longest snippet takes, which is built first.
const snippetLimit = 5 * time.Minute

// TestShellKills holds a shell to its promise that nothing survives a script that is stopped.
func TestShellKills(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	sh := newShell(t, dir)
	go func() {
		_, _, err := sh.run(ctx, "sleep 3600 >fifo & wait")
		ended <- err
	}()
	held, err := os.Open(fifo) // which returns once sleep has opened it
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	stopped := errors.New("stopped")
	cancel(stopped)
	if err := <-ended; !errors.Is(err, stopped) {
		t.Errorf("got %v, want %v", err, stopped)
	}
	if err := held.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a child of the script goes on: %v", err)
	}
}

// startDocumented starts the server of a block and waits until it says how to stop it.
func startDocumented(t *testing.T, dir, command string) {
	t.Helper()
	cmd := exec.Command("bash", "-c", "exec "+strings.TrimSpace(command))
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // `go run` does not pass SIGTERM on
	ready := &watcher{want: "Stop with Ctrl-C.", seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = ready, ready
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(2 * time.Minute):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("%s did not end", command)
		}
	})
	select {
	case <-ready.seen:
	case err := <-exited:
		exited <- err
		t.Fatalf("%s ended: %v\n%s", command, err, ready.text())
	case <-time.After(5 * time.Minute): // it is built first
		t.Fatalf("%s is not ready:\n%s", command, ready.text())
	}
}

// watcher collects output and closes seen when it has come to what is wanted.
type watcher struct {
	want string
	seen chan struct{}

	mu   sync.Mutex
	all  bytes.Buffer
	done bool
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(p)
	if !w.done && strings.Contains(w.all.String(), w.want) {
		w.done = true
		close(w.seen)
	}
	return len(p), nil
}

func (w *watcher) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

// runGo runs a block as the test of a module of its own, which finds this one as the documents say.
func runGo(ctx context.Context, t *testing.T, root, source string) {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"app_test.go": source, "go.mod": "module app\n\ngo 1.26\n"}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	module, err := filepath.EvalSymlinks(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	script := "go mod edit -replace liked=" + filepath.Dir(module) + " && go mod tidy && go test ."
	if out, stderr, err := newShell(t, dir).run(ctx, script); err != nil {
		t.Errorf("%s\n%v\n%s%s", source, err, out, stderr)
	}
}

// inSources looks for the text among the sources of a client, indented or not.
func inSources(t *testing.T, suffix, text string, clients ...string) {
	t.Helper()
	found := false
	look := func(path string, d fs.DirEntry, err error) error {
		if err != nil || found {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "target") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, suffix) {
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			found = strings.Contains(unindented(string(source)), unindented(text))
		}
		return nil
	}
	var err error
	for _, client := range clients {
		err = errors.Join(err, filepath.WalkDir(client, look))
	}
	if err != nil || !found {
		t.Errorf("no source of compat/%v has (%v)\n%s", clients, err, text)
	}
}

func unindented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimLeft(line, " \t"))
	}
	return b.String()
}

// TestDocumentsNameTests looks for every test and script that the documents name as their proof.
func TestDocumentsNameTests(t *testing.T) {
	documents, err := filepath.Glob("../docs/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatal("no documents in docs")
	}
	there := map[string]bool{}
	defined := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		there[d.Name()] = true
		if strings.HasSuffix(path, "_test.go") {
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range defined.FindAllSubmatch(source, -1) {
				there[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w+|\b[a-z0-9_]+(?:\.txt|_test\.go)\b`)
	count := 0
	for _, path := range append(documents, "../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(fence.ReplaceAllString(string(text), ""), -1) {
			if count++; !there[name] {
				t.Errorf("%s names %s, which is not there", strings.TrimPrefix(path, "../"), name)
			}
		}
	}
	if count == 0 {
		t.Error("the documents name no test")
	}
}
