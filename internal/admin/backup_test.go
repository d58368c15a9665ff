package admin_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"liked/internal/admin"
	"liked/internal/store/pebblestore"
)

// A store without files of its own is backed up elsewhere, and says so.
func TestBackupWithoutFiles(t *testing.T) {
	t.Parallel()
	st, err := pebblestore.Open(pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	h := admin.New(admin.Options{Store: st, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("POST", "/admin/backup", strings.NewReader("{}")))
	if rec.Code != 400 || !strings.Contains(rec.Body.String(), "back up the database with its own tools") {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}
