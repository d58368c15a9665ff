package server_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"liked/internal/server"
)

// What is of development servers alone is no endpoint of another one, and so are given secrets.
func TestServeHasNothingOfDev(t *testing.T) {
	dev, _ := start(t, server.Config{Dev: true})
	serve, _ := start(t, server.Config{})
	ask := func(srv *server.Server, method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, srv.AdminURL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+srv.AdminToken)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	endpoints := func(srv *server.Server) (all []string) {
		_, text := ask(srv, "GET", "/admin/openapi.json", "")
		var document struct{ Paths map[string]map[string]any }
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		for path, methods := range document.Paths {
			for method := range maps.Keys(methods) {
				all = append(all, strings.ToUpper(method)+" "+path)
			}
		}
		return all
	}
	everywhere := endpoints(serve)
	for _, endpoint := range endpoints(dev) {
		if slices.Contains(everywhere, endpoint) {
			continue
		}
		method, path, _ := strings.Cut(endpoint, " ")
		if status, text := ask(serve, method, path, "{}"); status != 404 || !strings.Contains(text, "no endpoint "+method) {
			t.Errorf("%s: got %d %s, want that there is no such endpoint", endpoint, status, text)
		}
	}
	for path, body := range map[string]string{
		"POST /admin/apps":     `{"name":"a","client_id":"mine"}`,
		"PUT /admin/apps/mine": `{"name":"a","client_secret":"mine"}`,
		"POST /admin/tokens":   `{"kind":"user","app":"a","user":"b","token":"mine"}`,
	} {
		method, path, _ := strings.Cut(path, " ")
		if status, text := ask(serve, method, path, body); status != 400 || !strings.Contains(text, "unknown member") {
			t.Errorf("%s: got %d %s, want that a given secret is unknown", path, status, text)
		}
	}
}
