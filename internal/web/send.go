package web

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Send answers with a body that is whole, and returns its size.
func Send(w http.ResponseWriter, status int, contentType string, body []byte) (size int) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nothing is left to do
	return len(body)
}

// SendJSON answers with a value as JSON, which no cache may keep. It is for the answers that are not X's.
func SendJSON(w http.ResponseWriter, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil { // none of our types can do that
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer could not be encoded"}`)
	}
	w.Header().Set("Cache-Control", "no-store")
	Send(w, status, "application/json", append(text, '\n'))
}
