package likedtest

import "testing"

// A server that was started, or forked, is ready: what it does not do before, a reset among it, need not wait.
func TestReady(t *testing.T) {
	t.Parallel()
	srv := New(t)
	for range 10 {
		for name, s := range map[string]*Server{"new": New(t), "a fork": srv.Fork(t)} {
			select {
			case <-s.server.Ready():
			default:
				t.Errorf("%s: the server is not ready yet", name)
			}
		}
	}
}
