package liked_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"liked"
)

// FuzzNames: an id that is read is the number that it says, and scopes that are read are written so that they read the same.
func FuzzNames(f *testing.F) {
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzNames"); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in testdata/fuzz: %v", err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := liked.ParseID[liked.PostID](text)
		want, wantErr := strconv.ParseInt(text, 10, 64)
		plain := wantErr == nil && len(text) <= 19 && strings.Trim(text, "0123456789") == ""
		if (err == nil) != plain || err == nil && int64(id) != want {
			t.Errorf("%q is read as %d, %v; want %d, %v", text, id, err, want, wantErr)
		}
		if scopes, err := liked.ParseScope(text); err == nil {
			if again, err := liked.ParseScope(scopes.String()); err != nil || again != scopes {
				t.Errorf("%q is written as %q, which is read as %v, %v", text, scopes, again, err)
			}
			if len(strings.Fields(text)) > 0 && scopes == 0 || scopes&^liked.AllScopes != 0 {
				t.Errorf("%q is read as %b", text, scopes)
			}
		}
		if liked.ValidUsername(text) && (len(text) > 15 || strings.ContainsAny(text, " /%?#\x00")) {
			t.Errorf("%q is a valid username", text)
		}
	})
}
