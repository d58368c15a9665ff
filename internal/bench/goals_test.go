package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A store that an earlier run has filled with something else is refused, and stays as it is.
func TestKeptStoreOfAnotherRun(t *testing.T) {
	data := filepath.Join(t.TempDir(), "large")
	const note = `{"Users":10,"Posts":20,"Likes":30,"Empty":1}`
	if err := os.WriteFile(data+".filled", []byte(note), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := (Suite{}).filled(t.Context(), data, filling{Users: 10, Posts: 20, Likes: 31})
	if err == nil || !strings.Contains(err.Error(), "another store") {
		t.Errorf("filled: %v, want a refusal", err)
	}
	if text, err := os.ReadFile(data + ".filled"); err != nil || string(text) != note {
		t.Errorf("the note of the earlier run is now %q, %v", text, err)
	}
}
