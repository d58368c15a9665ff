package admin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

const eventStream = "text/event-stream"

// eventWriter writes server-sent events.
type eventWriter struct {
	out  *streamed
	text bytes.Buffer
	err  error // once the reader is gone
}

func (e *eventWriter) send(event string, data any) {
	text, _ := json.Marshal(data) // of strings and numbers
	fmt.Fprintf(&e.text, "event: %s\ndata: %s\n\n", event, text)
}

func (e *eventWriter) pending() bool { return e.text.Len() > 0 }

func (e *eventWriter) comment(text string) {
	fmt.Fprintf(&e.text, ": %s\n\n", text)
	e.flush()
}

func (e *eventWriter) flush() {
	if e.err == nil {
		_, e.err = e.text.WriteTo(e.out)
	}
	if e.err == nil {
		e.err = e.out.flush()
	}
}

// readEvents calls got with each event until it fails, or the stream ends.
func readEvents(r io.Reader, got func(event string, data []byte) error) error {
	lines := bufio.NewReader(r)
	event, data := "", ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return err
		}
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
		switch {
		case name == "event":
			event = value
		case name == "data":
			data = value
		case name == "" && value == "" && event != "":
			if err := got(event, []byte(data)); err != nil {
				return err
			}
			event, data = "", ""
		}
	}
}
