package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"liked/internal/server"
)

// A bare number in JSON would not tell that it is nanoseconds.
func TestLogNamesUnits(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"json": `"level":"INFO","msg":"stopping","grace_ms":10000,"g":{"duration_ms":1.5}}`,
		"text": `level=INFO msg=stopping grace=10s g.duration=1.5ms`,
	} {
		var out bytes.Buffer
		logger, flush, err := server.NewLogger(&out, format, slog.LevelInfo)
		if err != nil {
			t.Fatal(err)
		}
		logger.Info("stopping", "grace", 10*time.Second, slog.Group("g", slog.Duration("duration", 1500*time.Microsecond)))
		flush()
		if !strings.HasSuffix(out.String(), want+"\n") {
			t.Errorf("%s: got %s, want it to end in %s", format, out.String(), want)
		}
		if format == "json" && !json.Valid(out.Bytes()) {
			t.Errorf("no JSON: %s", out.String())
		}
	}
}

// fullOnce is a disk that has no room for the first write.
type fullOnce struct {
	bytes.Buffer
	full bool
}

func (f *fullOnce) Write(b []byte) (int, error) {
	if !f.full {
		f.full = true
		return 0, errors.New("no space left on device")
	}
	return f.Buffer.Write(b)
}

// What could not be written is lost, and what comes after is not.
func TestLogGoesOn(t *testing.T) {
	t.Parallel()
	var out fullOnce
	logger, flush, err := server.NewLogger(&out, "text", slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	logger.Warn("lost")
	logger.Warn("kept")
	flush()
	if got := out.String(); strings.Contains(got, "lost") || !strings.Contains(got, "msg=kept") {
		t.Errorf("the log has %q, want the second line alone", got)
	}
}
