//go:build !linux

package capture

import (
	"errors"
	"os/exec"
)

// Inside does nothing on systems without namespaces.
func Inside() {}

type cannot struct{ error }

func (f *Front) inNamespace(Command, string, string) (*exec.Cmd, error) {
	return nil, cannot{errors.New("this system has no namespaces")}
}
