package web

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Send answers with a complete body, and returns its size.
func Send(w http.ResponseWriter, status int, contentType string, body []byte) (size int) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client is gone
	return len(body)
}

// SendJSON answers with value as JSON that no cache may store. It is for answers that are not X's.
func SendJSON(w http.ResponseWriter, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil { // impossible for our types
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer could not be encoded"}`)
	}
	w.Header().Set("Cache-Control", "no-store")
	Send(w, status, "application/json", append(text, '\n'))
}
