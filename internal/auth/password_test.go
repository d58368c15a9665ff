package auth_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"liked"
)

// A name that no user has, and a user without a password, take as long to refuse as a wrong password: one hash.
func TestCheckPasswordTakesAsLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const right = "correct horse battery staple"
	hash, err := w.auth.HashPassword(t.Context(), right)
	check(t, err)
	check(t, w.store.SetPassword(t.Context(), w.user, hash))
	check(t, w.store.AddUser(t.Context(), liked.User{ID: 20, Username: "empty", Name: "Empty", CreatedAt: w.clock.Now()}))
	for _, name := range []string{"ada", "nobody", "empty", "not a name!", strings.Repeat("x", 100), "a\x00b"} {
		goOn := w.auth.HoldPasswords() // what takes the time
		answered := make(chan string, 1)
		go func() {
			_, why, err := w.auth.CheckPassword(t.Context(), name, "wrong")
			if err != nil {
				t.Errorf("%q: %v", name, err)
			}
			answered <- why
		}()
		select {
		case <-answered:
			t.Errorf("%q is refused without the work of a hash", name)
			goOn()
			continue
		case <-time.After(100 * time.Millisecond):
		}
		goOn()
		if why := <-answered; why == "" {
			t.Errorf("%q comes in with a wrong password", name)
		}
	}
	for _, tt := range []struct{ name, password, why string }{
		{"ADA", right, ""}, {"ada", strings.Repeat("x", 2000), "the password is wrong"}, {"ada", "", "the password is wrong"},
		{"empty", "", "no password"}, {"nobody", right, "no such user"},
	} {
		if _, why, err := w.auth.CheckPassword(t.Context(), tt.name, tt.password); err != nil || (why == "") != (tt.why == "") ||
			!strings.Contains(why, tt.why) {
			t.Errorf("%s: %q, %v", tt.name, why, err)
		}
	}
}

// Hashing leaves a core to everything else.
func TestPasswordsLeaveACore(t *testing.T) {
	t.Parallel()
	if got, want := newWorld(t).auth.PasswordSlots(), max(1, runtime.GOMAXPROCS(0)-1); got != want {
		t.Errorf("%d passwords are hashed at once on %d cores, want %d", got, runtime.GOMAXPROCS(0), want)
	}
}
