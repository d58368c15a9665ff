package plainhttp

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// response is the http.ResponseWriter of one connection: it gathers an answer, to be sent in one piece.
type response struct {
	header http.Header
	status int    // 0 before WriteHeader
	text   []byte // the head; end makes it the whole answer
	body   []byte
	typed  bool // the head has a Content-Type
	closes bool // the handler ends the connection

	keys []string // of the header before, in alphabetical order: the next one mostly has the same
	date []byte   // a line of the head
	at   int64    // second of date
}

// maxKept is how large a buffer may be to be used for the next answer.
const maxKept = 64 << 10

func (w *response) begin() {
	if w.header == nil {
		w.header = make(http.Header, 28) // what fits a map of 32 slots: more would take longer to clear
	}
	clear(w.header)
	if cap(w.text) > maxKept {
		w.text, w.body = nil, nil
	}
	w.status, w.text, w.body, w.typed, w.closes = 0, w.text[:0], w.body[:0], false, false
}

func (w *response) Header() http.Header { return w.header }

// WriteHeader fixes status and headers; the first call counts. There are no informational answers.
func (w *response) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status = status
	w.text = append(strconv.AppendInt(append(w.text, "HTTP/1.1 "...), int64(status), 10), ' ')
	if text := http.StatusText(status); text != "" {
		w.text = append(w.text, text...)
	} else {
		w.text = strconv.AppendInt(append(w.text, "status code "...), int64(status), 10)
	}
	w.text = append(w.text, "\r\n"...)
	start := len(w.text)
	dated, same := w.addFields()
	if !same {
		w.text = w.text[:start]
		w.order()
		dated, _ = w.addFields()
	}
	if !dated {
		w.addDate()
	}
}

// addFields adds the headers in the order of the keys. It is of no use if these are not the same as those of the header.
func (w *response) addFields() (dated, same bool) {
	if len(w.keys) != len(w.header) {
		return false, false
	}
	for _, key := range w.keys {
		values, there := w.header[key]
		if !there {
			return false, false
		}
		switch key {
		case "Content-Length", "Transfer-Encoding": // end knows
			continue
		case "Connection":
			w.closes = w.closes || slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, "close") })
			continue
		case "Content-Type":
			w.typed = true
		case "Date":
			dated = true
		}
		for _, v := range values {
			w.text = append(append(w.text, key...), ": "...)
			at := len(w.text)
			w.text = append(append(w.text, v...), "\r\n"...)
			if strings.IndexByte(v, '\n') >= 0 || strings.IndexByte(v, '\r') >= 0 {
				oneLine(w.text[at : len(w.text)-2])
			}
		}
	}
	return dated, true
}

// oneLine keeps a value from being taken for more than one header.
func oneLine(value []byte) {
	for i, c := range value {
		if c == '\n' || c == '\r' {
			value[i] = ' '
		}
	}
}

// order makes the keys those of the header.
func (w *response) order() {
	w.keys = w.keys[:0]
	for key := range w.header {
		w.keys = append(w.keys, key)
	}
	slices.Sort(w.keys)
}

func (w *response) addDate() {
	now := time.Now()
	if second := now.Unix(); second != w.at || w.date == nil {
		w.at, w.date = second, append(now.UTC().AppendFormat(append(w.date[:0], "Date: "...), http.TimeFormat), "\r\n"...)
	}
	w.text = append(w.text, w.date...)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.bodiless() {
		return 0, http.ErrBodyNotAllowed
	}
	w.body = append(w.body, p...)
	return len(p), nil
}

// bodiless reports whether the status allows no body (RFC 9110, 6.4.1).
func (w *response) bodiless() bool {
	return w.status == http.StatusNoContent || w.status == http.StatusNotModified
}

// end returns the whole answer, which is valid until begin, and whether it is the last one of the connection.
func (w *response) end(last bool) (text []byte, isLast bool) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if len(w.body) > 0 && !w.typed {
		w.text = append(append(append(w.text, "Content-Type: "...), http.DetectContentType(w.body)...), "\r\n"...)
	}
	if !w.bodiless() {
		w.text = append(strconv.AppendInt(append(w.text, "Content-Length: "...), int64(len(w.body)), 10), "\r\n"...)
	}
	if last = last || w.closes; last {
		w.text = append(w.text, "Connection: close\r\n"...)
	}
	w.text = append(append(w.text, "\r\n"...), w.body...)
	return w.text, last
}
