package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"liked/internal/web"
)

// asset asks for one of the explorer's files.
func asset(t *testing.T, name string, header http.Header) (*http.Response, []byte) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.Asset(strings.TrimPrefix(r.URL.Path, "/explorer/")).Write(w, r)
	}))
	defer srv.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/explorer/"+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	resp, err := (&http.Transport{DisableCompression: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// All that the page and its scripts load is there, and of the right kind.
func TestExplorerAssets(t *testing.T) {
	t.Parallel()
	page, err := io.ReadAll(write(t, 200, web.Explorer{}).Body)
	if err != nil {
		t.Fatal(err)
	}
	loaded := regexp.MustCompile(`(?:"/explorer/|from "\./)([a-z-]+\.(?:js|css))"`)
	seen := map[string]bool{}
	var visit func(text []byte)
	visit = func(text []byte) {
		for _, m := range loaded.FindAllSubmatch(text, -1) {
			name := string(m[1])
			if seen[name] {
				continue
			}
			seen[name] = true
			resp, body := asset(t, name, http.Header{})
			kind := "text/javascript; charset=utf-8"
			if strings.HasSuffix(name, ".css") {
				kind = "text/css; charset=utf-8"
			}
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != kind || len(body) < 1000 {
				t.Errorf("%s: %d %s, %d bytes; want 200 %s", name, resp.StatusCode, resp.Header.Get("Content-Type"), len(body), kind)
			}
			visit(body)
		}
	}
	visit(page)
	if len(seen) != 6 {
		t.Errorf("the page loads %v, want six files", seen)
	}
}

func TestExplorerAssetIsKept(t *testing.T) {
	t.Parallel()
	_, plain := asset(t, "explorer.js", http.Header{})
	resp, body := asset(t, "explorer.js", http.Header{"Accept-Encoding": {"gzip, br"}})
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || !bytes.Equal(text, plain) || len(body) >= len(plain) {
		t.Errorf("compressed %d bytes, %v; want the %d plain ones", len(body), err, len(plain))
	}
	etag := resp.Header.Get("ETag")
	for header, want := range map[string]string{"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "Content-Encoding": "gzip",
		"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"} {
		if got := resp.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if resp, body := asset(t, "explorer.js", http.Header{"If-None-Match": {etag}}); resp.StatusCode != http.StatusNotModified ||
		len(body) > 0 {
		t.Errorf("with its ETag: %d and %d bytes, want 304 and none", resp.StatusCode, len(body))
	}
	for _, name := range []string{"", "nothing.js", "../web.go", "swagger-ui.css"} {
		if web.Asset(name) != nil {
			t.Errorf("there is a file %q", name)
		}
	}
}

// parts keeps what is written, not a copy.
type parts struct {
	http.ResponseWriter
	all [][]byte
}

func (p *parts) Write(text []byte) (int, error) {
	p.all = append(p.all, text)
	return len(text), nil
}

// A client that asks and reads nothing holds no memory of its own: all answers with a file are the same bytes.
func TestAssetsAreMadeOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"code.js", "explorer.js", "explorer.css", "home.js"} {
		for _, encoding := range []string{"", "gzip"} {
			var first []byte
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodGet} {
				w := &parts{ResponseWriter: httptest.NewRecorder()}
				r := httptest.NewRequest(method, "/explorer/"+name, nil)
				r.Header.Set("Accept-Encoding", encoding)
				_, size := web.Asset(name).Write(w, r)
				if len(w.all) != 1 || len(w.all[0]) != size || first != nil && &w.all[0][0] != &first[0] {
					t.Errorf("%s %s, encoding %q: %d pieces, of other memory than before", method, name, encoding, len(w.all))
				}
				first = w.all[0]
			}
		}
	}
}
