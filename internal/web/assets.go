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
)

//go:embed explorer home
var own embed.FS

// assets are the files that pages load, gzipped. Each is read on first use.
var assets = map[string]func() *File{
	"home.js":      ownAsset("home/home.js"),
	"explorer.js":  ownAsset("explorer/explorer.js"),
	"caller.js":    ownAsset("explorer/caller.js"),
	"send.js":      ownAsset("explorer/send.js"),
	"code.js":      ownAsset("explorer/code.js"),
	"dom.js":       ownAsset("explorer/dom.js"),
	"explorer.css": ownAsset("explorer/explorer.css"),
}

// File is a file that pages load.
type File struct {
	contentType string
	gzip        []byte
	plain       func() []byte // made once: a client that reads slowly holds it as long as it likes
	etag        string
}

func newFile(name string, compressed []byte) *File {
	sum := sha256.Sum256(compressed)
	f := &File{"text/javascript; charset=utf-8", compressed, sync.OnceValue(func() []byte { return plain(compressed) }),
		`"` + hex.EncodeToString(sum[:16]) + `"`}
	if path.Ext(name) == ".css" {
		f.contentType = "text/css; charset=utf-8"
	}
	return f
}

// NewFile returns a script or a style sheet, which the end of its name says.
func NewFile(name string, text []byte) *File {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write(text) // cannot fail
	_ = z.Close()
	return newFile(name, buf.Bytes())
}

func ownAsset(name string) func() *File {
	return sync.OnceValue(func() *File { return NewFile(name, read(own, name)) })
}

func read(files embed.FS, name string) []byte {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return text
}

// Asset returns a file of the pages here, nil if none has the name.
func Asset(name string) *File {
	if load := assets[name]; load != nil {
		return load()
	}
	return nil
}

// Write answers with the file, and returns status and size. Browsers revalidate it on each use.
func (f *File) Write(w http.ResponseWriter, r *http.Request) (status, size int) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified, 0
	}
	h.Set("Content-Type", f.contentType)
	body := f.gzip
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
	} else {
		body = f.plain()
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
