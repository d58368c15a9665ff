//go:build unix

package bench

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// unprivileged makes the directory and says as whom PostgreSQL runs in it, since it refuses to run as root: in a group of
// processes of its own, since Ctrl-C is for us.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	as := &syscall.SysProcAttr{Setpgid: true}
	if err := os.Mkdir(dir, 0o700); err != nil || os.Getuid() != 0 {
		return as, err
	}
	postgres, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, uidErr := strconv.Atoi(postgres.Uid)
	gid, gidErr := strconv.Atoi(postgres.Gid)
	as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return as, errors.Join(uidErr, gidErr, os.Chown(dir, uid, gid))
}
