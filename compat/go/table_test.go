package compat

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var pointed = map[string]string{
	"github.com/dghubble/oauth1": "the URLs of its `Endpoint`, and those it signs",
	"github.com/markbates/goth":  "the proxy (`http.DefaultTransport`)",
	"golang.org/x/oauth2":        "the URLs of its `Endpoint`",
}

// did notes what a client did, for the table in docs/clients.md: the last line of a test, since the table has what works.
func did(t *testing.T, client, what string) {
	t.Helper()
	if t.Failed() {
		return
	}
	version, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", client).Output()
	if err != nil || pointed[client] == "" {
		t.Fatalf("%s: no version (%v), or no word of how it was pointed at the server", client, err)
	}
	line, err := json.Marshal(map[string]string{"client": client, "version": string(bytes.TrimSpace(version)), "from": "Go",
		"did": what, "pointed": pointed[client]})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(env(t, "LIKED_TEMP"), "clients.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
