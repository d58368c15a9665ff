package fastpath

import (
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// response is the http.ResponseWriter of a connection. It buffers an answer and sends it in one piece, as net/http
// would write it. A large body of declared length is sent as it is written.
type response struct {
	conn    net.Conn
	closing *atomic.Bool // set: the answer is the connection's last

	header  http.Header
	status  int      // 0 before WriteHeader
	text    []byte   // the head, then the body, if its length was declared
	body    []byte   // if it was not
	length  int      // declared, or -1
	written int      // bytes of the body
	typed   bool     // the head has the body's type or encoding
	headed  bool     // the head is complete
	last    bool     // the connection ends
	err     error    // of the connection
	keys    []string // of the previous header, sorted: the next one mostly has the same
}

// maxKept is how much of an answer is copied to be sent at once. Larger buffers are not kept for the next answer.
const maxKept = 8 << 10

func (w *response) begin() {
	if w.header == nil {
		w.header = make(http.Header, 28) // fits a map of 32 slots: more would take longer to clear
	}
	clear(w.header)
	if cap(w.text)+cap(w.body) > 2*maxKept {
		w.text, w.body = nil, nil
	}
	w.status, w.text, w.body, w.length, w.written = 0, w.text[:0], w.body[:0], -1, 0
	w.typed, w.headed, w.last = false, false, false
}

func (w *response) Header() http.Header { return w.header }

// WriteHeader fixes status and headers; only the first call counts.
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
	if !w.addFields() {
		w.text = w.text[:start]
		w.keys = slices.AppendSeq(w.keys[:0], maps.Keys(w.header))
		slices.Sort(w.keys)
		w.addFields()
	}
	if w.header["Date"] == nil {
		w.text = append(time.Now().UTC().AppendFormat(append(w.text, "Date: "...), http.TimeFormat), "\r\n"...)
	}
}

// addFields adds the headers in the order of keys. It reports false if the header has other keys.
func (w *response) addFields() bool {
	if len(w.keys) != len(w.header) {
		return false
	}
	for _, key := range w.keys {
		values, there := w.header[key]
		if !there {
			return false
		}
		switch key {
		case "Transfer-Encoding": // an answer is one piece
			continue
		case "Content-Length":
			n, err := strconv.Atoi(values[0])
			if err != nil || n < 0 || w.bodiless() {
				continue
			}
			w.length = n
		case "Connection":
			w.last = values[0] == "close"
		case "Content-Type":
			if w.status == http.StatusNotModified {
				continue
			}
			w.typed = true
		case "Content-Encoding":
			w.typed = true
		}
		for _, v := range values {
			if strings.IndexByte(v, '\n') >= 0 || strings.IndexByte(v, '\r') >= 0 { // it must not start another header
				v = newlines.Replace(v)
			}
			w.text = append(append(append(append(w.text, key...), ": "...), textproto.TrimString(v)...), "\r\n"...)
		}
	}
	return true
}

var newlines = strings.NewReplacer("\n", " ", "\r", " ")

// finish ends the head of an answer whose body begins with p.
func (w *response) finish(p []byte) {
	w.headed = true
	if w.length < 0 && !w.bodiless() {
		w.text = append(strconv.AppendInt(append(w.text, "Content-Length: "...), int64(len(p)), 10), "\r\n"...)
	}
	if len(p) > 0 && !w.typed {
		w.text = append(append(append(w.text, "Content-Type: "...), http.DetectContentType(p)...), "\r\n"...)
	}
	if !w.last && w.closing.Load() {
		w.last = true
		w.text = append(w.text, "Connection: close\r\n"...)
	}
	w.text = append(w.text, "\r\n"...)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch w.written += len(p); {
	case len(p) == 0:
		return 0, nil
	case w.bodiless():
		return 0, http.ErrBodyNotAllowed
	case w.length < 0:
		w.body = append(w.body, p...)
		return len(p), nil
	case w.written > w.length:
		return 0, http.ErrContentLength
	}
	if !w.headed {
		w.finish(p)
	}
	if len(w.text)+len(p) <= maxKept {
		w.text = append(w.text, p...)
		return len(p), nil
	}
	if w.err == nil {
		_, w.err = (&net.Buffers{w.text, p}).WriteTo(w.conn)
		w.text = w.text[:0]
	}
	return len(p), w.err
}

// bodiless reports whether the status allows no body (RFC 9110, 6.4.1).
func (w *response) bodiless() bool {
	return w.status == http.StatusNoContent || w.status == http.StatusNotModified
}

// end sends the rest of the answer. It reports whether it was the connection's last.
func (w *response) end() (last bool, err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.headed {
		w.finish(w.body)
		w.text = append(w.text, w.body...)
	}
	if len(w.text) > 0 && w.err == nil {
		_, w.err = w.conn.Write(w.text)
	}
	return w.last || w.length >= 0 && w.written != w.length, w.err
}
