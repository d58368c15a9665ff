package admin

import (
	"net/http"

	"liked"
	"liked/internal/backup"
	"liked/internal/store"
)

type BackupWish struct {
	Have []string `json:"have"` // hexadecimal SHA-256 of files that need not be sent
}

// maxHave is the size of a BackupWish with a million files.
const maxHave = 67 << 20

// The client stores the files, so the server needs no place but its own directory.
func (h *Handler) backup(r *http.Request) (stream, error) {
	if h.Backup == nil {
		return nil, liked.Errorf(liked.Invalid, "the store has no files of its own; back up the database with its own tools")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxHave)
	wish, err := body[BackupWish](r)
	if err != nil {
		return nil, err
	}
	have := make(map[string]bool, len(wish.Have))
	for _, hash := range wish.Have {
		have[hash] = true
	}
	return func(w *streamed) error {
		takenAt := h.Now()
		return h.Backup.Backup(r.Context(), func(files []store.File) error {
			return backup.Send(r.Context(), w, takenAt, h.Key, files, have)
		})
	}, nil
}
