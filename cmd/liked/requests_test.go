package main

import (
	"strings"
	"testing"

	"liked/internal/journal"
)

// What others sent does nothing to a terminal; lines of a body stay lines.
func TestDetailIsText(t *testing.T) {
	t.Parallel()
	const sent = "a\x1b[2Jb\r\n\tc\u009b\x7f"
	d := journal.Detail{Row: journal.Row{Query: sent, Why: sent}, Request: journal.Message{Headers: map[string]string{sent: sent}, Body: sent}}
	var out strings.Builder
	writeDetail(&out, d)
	if text := out.String(); strings.ContainsAny(text, "\x1b\r\u009b\x7f") || !strings.Contains(text, "\na?[2Jb?\n\tc??\n") {
		t.Errorf("got %q", text)
	}
}
