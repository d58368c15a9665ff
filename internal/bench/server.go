package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Server is a running server of ours, with a store on the disk and without limits. Its log goes nowhere.
type Server struct {
	World
	Credentials string // the file that World is of

	place
	cmd    *exec.Cmd
	exited chan error // gets what became of it
}

// place is where a server keeps things.
type place struct {
	dir  string   // with admin.json, and the store if there is no database
	args []string // that say so to the program
}

func in(data string) place { return place{data, []string{"--data", data}} }

// Start runs `liked dev`, from the program that is named, with more arguments, and waits until it answers. The world is made in
// the directory, or found there.
func Start(ctx context.Context, program, data string, users, posts int, more ...string) (*Server, error) {
	ready := filepath.Join(data, "admin.json")
	if err := ignoreGone(os.Remove(ready)); err != nil {
		return nil, err
	}
	s, err := launch(ctx, program, ready, append([]string{"dev", "--journal", "0", "--listen", "127.0.0.1:0", "--data", data,
		"--users", strconv.Itoa(users), "--posts", strconv.Itoa(posts)}, more...)...)
	if err != nil {
		return nil, err
	}
	s.place, s.Credentials = in(data), credentialsOf(data)
	if s.World, err = ReadWorld(s.Credentials); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// credentialsOf is the file that `liked dev` leaves in a data directory.
func credentialsOf(data string) string { return filepath.Join(data, "credentials.json") }

// stopped is the server that an earlier process has had on the store.
func stopped(data string) (s *Server, err error) {
	s = &Server{Credentials: credentialsOf(data), place: in(data)}
	s.World, err = ReadWorld(s.Credentials)
	return s, err
}

// serve runs `liked serve` where another server has made the world, as one would, with more arguments, and says how many seconds
// it took until it listened.
func (p place) serve(ctx context.Context, program string, world World, more ...string) (served *Server, seconds float64, err error) {
	address, err := freeAddress()
	if err != nil {
		return nil, 0, err
	}
	file := filepath.Join(p.dir, "admin.json")
	start := time.Now()
	if served, err = launch(ctx, program, file, append(append([]string{"serve", "--listen", address}, p.args...), more...)...); err != nil {
		return nil, 0, err
	}
	seconds = time.Since(start).Seconds()
	var admin struct {
		URL string `json:"url"`
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &admin)
	}
	if err != nil {
		return nil, 0, errors.Join(err, served.Stop())
	}
	served.place, served.World, served.Credentials = p, world, credentialsOf(p.dir)
	served.URL, served.AdminURL = "http://"+address, admin.URL
	return served, seconds, nil
}

// launch starts a server, without limits unless the arguments say otherwise, and waits until it has written the file.
func launch(ctx context.Context, program, file string, args ...string) (*Server, error) {
	if !slices.Contains(args, "--rate-limits") {
		args = append(args, "--rate-limits", "off")
	}
	cmd := exec.CommandContext(ctx, program, append(args, "--admin-listen", "127.0.0.1:0")...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Server{cmd: cmd, exited: make(chan error, 1)}
	go func() {
		s.exited <- cmd.Wait()
		close(s.exited)
	}()
	for {
		select {
		case err := <-s.exited:
			return nil, fmt.Errorf("%s ended before it answered (%w); run it to see why", cmd, err)
		case <-time.After(2 * time.Millisecond):
		}
		if _, err := os.Stat(file); err == nil {
			return s, nil
		}
	}
}

// Stop ends the server in order.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := <-s.exited; err != nil {
		return fmt.Errorf("%s: %w", s.cmd, err)
	}
	return nil
}

// settled returns the size of the server's store, and what the server has used, once it has had next to nothing to do for two
// seconds, since all is compacted and its filter of likes is full; or after three minutes.
func (s *Server) settled(ctx context.Context) (size int64, used time.Duration, err error) {
	for end := time.Now().Add(3 * time.Minute); ; {
		before, err := usage(ctx, s.AdminURL)
		if err != nil {
			return 0, 0, err
		}
		select {
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		case <-time.After(2 * time.Second):
		}
		after, err := usage(ctx, s.AdminURL)
		if err != nil {
			return 0, 0, err
		}
		if after.CPU-before.CPU < 100*time.Millisecond || time.Now().After(end) {
			size, err = sizeOf(s.dir)
			return size, after.CPU, err
		}
	}
}

// sizeOf is how many bytes the files of the store in a data directory have.
func sizeOf(data string) (size int64, err error) {
	err = filepath.WalkDir(filepath.Join(data, "store"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return ignoreGone(err)
	})
	return size, err
}

// ignoreGone: a store deletes files while they are counted.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
