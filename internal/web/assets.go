package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/swaggest/swgui/v5/static"
)

//go:embed explorer home
var own embed.FS

// assets are the files that pages load, gzipped. Each is read on first use.
var assets = map[string]func() asset{
	"home.js":              ownAsset("home/home.js"),
	"explorer.js":          ownAsset("explorer/explorer.js"),
	"plugin.js":            ownAsset("explorer/plugin.js"),
	"code.js":              ownAsset("explorer/code.js"),
	"explorer.css":         ownAsset("explorer/explorer.css"),
	"swagger-ui-bundle.js": sync.OnceValue(func() asset { return newAsset(read(static.FS, "swagger-ui-bundle.js.gz")) }),
}

type asset struct {
	gzip  []byte
	plain func() []byte // made once: a client that reads slowly holds it as long as it likes
	etag  string
}

func newAsset(compressed []byte) asset {
	sum := sha256.Sum256(compressed)
	return asset{compressed, sync.OnceValue(func() []byte { return plain(compressed) }), `"` + hex.EncodeToString(sum[:16]) + `"`}
}

func ownAsset(name string) func() asset {
	return sync.OnceValue(func() asset {
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		_, _ = z.Write(read(own, name)) // cannot fail
		_ = z.Close()
		return newAsset(buf.Bytes())
	})
}

func read(files embed.FS, name string) []byte {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return text
}

// WriteAsset answers with a file of the pages, and returns status and size. Browsers revalidate it on each use.
func WriteAsset(w http.ResponseWriter, r *http.Request, name string) (status, size int) {
	load := assets[name]
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if load == nil {
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNotFound)
		return http.StatusNotFound, 0
	}
	a := load()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified, 0
	}
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	if path.Ext(name) == ".css" {
		h.Set("Content-Type", "text/css; charset=utf-8")
	}
	body := a.gzip
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
	} else {
		body = a.plain()
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	size, _ = w.Write(body) // fails only if the client is gone
	return http.StatusOK, size
}

func plain(compressed []byte) []byte {
	var text []byte
	z, err := gzip.NewReader(bytes.NewReader(compressed))
	if err == nil {
		text, err = io.ReadAll(z)
	}
	if err != nil {
		panic(err) // the file is embedded
	}
	return text
}
