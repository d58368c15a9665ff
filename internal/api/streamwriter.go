package api

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"liked"
	"liked/internal/store"
)

var (
	errEnding = errors.New("the server stops")
	errSlow   = errors.New("the reader is too slow")
	errLeft   = errors.New("the reader left")
	errLost   = errors.New("another server may hold the app's connection by now")

	errTerminated = errors.New("the app ended the connection")
)

// serveStream writes until the stream ends, its reader leaves or the server stops. Each event is preceded by the
// request's authorization checks.
func (a *API) serveStream(rt *endpoint, w http.ResponseWriter, r *http.Request, x *requestState, s *stream) {
	reason := "internal_error"
	defer func() { s.leave(reason) }()
	a.streams.mu.Lock()
	s.open.client = a.Address(r)
	a.streams.mu.Unlock()
	o := &streamWriter{w: w, control: http.NewResponseController(w), x: x, keepAlive: a.KeepAlive, stall: a.Stall}
	var generation uint64
	known := false
	o.allowed = func() error {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		now := a.Store.PrincipalGeneration(x.App, 0, store.GrantID{}) // before authorize reads the caller; streams have app callers only
		if known && now == generation {
			return nil
		}
		who, err := a.authorize(rt, r, x)
		if err == nil && who.AppState == liked.NotEnrolled {
			err = a.notEnrolled(who.ClientID)
		}
		generation, known = now, err == nil
		return err
	}
	if a.Faults != nil {
		go a.disconnectIfProvoked(s.ctx, traits(r, x), s.open.end)
	}
	h := w.Header()
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		h["Content-Encoding"] = headerGzip
		o.zip = new(zip)
	}
	if r.ProtoMajor == 1 {
		h["Connection"] = []string{"close"} // a stream's deadlines do not suit a following request
	}
	h["X-Accel-Buffering"] = headerUnbuffered // nginx would keep events back
	a.headers.api(h, x)
	x.set(h, "X-Response-Time", strconv.FormatInt(time.Since(x.Start).Milliseconds(), 10))
	x.Status = http.StatusOK
	x.Begun()
	w.WriteHeader(http.StatusOK)

	err := o.open()
	if err == nil {
		err = s.run(s.ctx, o)
	}
	if s.ctx.Err() != nil && err != errSlow {
		err = context.Cause(s.ctx)
	}
	provoked, _ := errors.AsType[*provokedEnd](err)
	switch {
	case provoked != nil:
		reason, x.Why = a.Faults.Disconnects[provoked.Disconnect], provoked.Why
		a.disconnect(o, provoked.Disconnect)
	case err == nil:
		reason = "end_of_stream"
		_ = o.close() // an error: the reader left
	case err == errSlow:
		reason, x.Why = "slow_reader", err.Error()
		panic(http.ErrAbortHandler)
	case err == errLeft, r.Context().Err() != nil:
		reason = "client_disconnect"
	case err == errTerminated:
		x.Why = err.Error()
		a.disconnect(o, "ForceDisconnect")
	case err == errEnding, err == errLost:
		reason, x.Why = "upstream_disconnect", err.Error()
		a.disconnect(o, "UpstreamOperationalDisconnect")
	case a.problemOf(err).status < 500:
		reason, x.Why = "client_application_state", err.Error()
		a.disconnect(o, "ClientApplicationStateDegraded")
	default:
		x.Err = err
		a.disconnect(o, "InternalError")
	}
}

// disconnect ends the stream with X's reason.
func (a *API) disconnect(o *streamWriter, kind string) {
	where := ""
	if strings.HasPrefix(kind, "Upstream") {
		where = "upstream "
	}
	entry := object{"title", "operational-disconnect", "disconnect_type", kind,
		"detail", "This stream has been disconnected " + where + "for operational reasons.", "type", a.problems + "operational-disconnect"}
	text, err := encode(document{Errors: partialErrors{entry}})
	if err == nil {
		err = o.write(append(text, "\r\n"...), nil)
	}
	if err == nil {
		_ = o.close() // an error: the reader left
	}
}

// run returns nil at the end of a stream that has one.
func (s *stream) run(ctx context.Context, o *streamWriter) error {
	at := s.from
	if s.feed == nil {
		return s.replay(ctx, at, s.until, o.replayed)
	}
	// Entries before the feed's end, and those that it has dropped meanwhile, are read from the log.
	next, to := s.feed.end()
	for {
		if err := s.replay(ctx, at, to, o.replayed); err != nil {
			return err
		}
		for p := range at {
			at[p] = max(at[p], to[p])
		}
		if _, _, lost, _ := s.feed.next(next); !lost {
			break
		}
		next, to = s.feed.end()
	}
	quiet := time.NewTimer(o.keepAlive)
	defer quiet.Stop()
	for {
		b, more, lost, err := s.feed.next(next)
		switch {
		case lost:
			return errSlow
		case b != nil:
			if text, packed := b.after(at[b.log]); len(text) > 0 {
				if err := o.tell(text, packed); err != nil {
					return err
				}
				quiet.Reset(o.keepAlive)
			}
			at[b.log] = max(at[b.log], b.ends[len(b.ends)-1].seq)
			next++
			continue
		case err != nil:
			return err
		}
		select {
		case <-more:
		case <-quiet.C:
			if err := o.tell(signOfLife, nil); err != nil {
				return err
			}
			quiet.Reset(o.keepAlive)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

var signOfLife = []byte("\r\n")

type streamWriter struct {
	w         http.ResponseWriter
	control   *http.ResponseController
	x         *requestState
	zip       *zip          // nil if the reader does not accept gzip
	keepAlive time.Duration // longest silence
	stall     time.Duration // longest write
	written   time.Time     // time of the last write
	allowed   func() error  // nil while the stream goes on and its reader is authorized
}

func (o *streamWriter) open() error {
	if o.zip != nil {
		return o.flush(gzipHeader)
	}
	return o.flush(nil)
}

func (o *streamWriter) close() error {
	if o.zip != nil {
		return o.flush(o.zip.end())
	}
	return nil
}

// replayed writes a replay's lines, or a sign of life after keepAlive.
func (o *streamWriter) replayed(text []byte) error {
	switch {
	case len(text) > 0:
		return o.tell(text, nil)
	case time.Since(o.written) < o.keepAlive:
		return nil
	}
	return o.tell(signOfLife, nil)
}

// tell writes lines if that is still allowed.
func (o *streamWriter) tell(text []byte, packed func() []byte) error {
	if err := o.allowed(); err != nil {
		return err
	}
	return o.write(text, packed)
}

// write sends text; packed, if not nil, returns deflate(text).
func (o *streamWriter) write(text []byte, packed func() []byte) error {
	if o.zip != nil {
		o.zip.add(text)
		if packed != nil {
			text = packed()
		} else {
			text = deflate(text)
		}
	}
	return o.flush(text)
}

// flush sends at once. A reader that accepts nothing within stall is too slow.
func (o *streamWriter) flush(text []byte) error {
	o.written = time.Now()
	err := o.control.SetWriteDeadline(o.written.Add(o.stall))
	if err == nil && len(text) > 0 {
		_, err = o.w.Write(text)
	}
	if err == nil {
		err = o.control.Flush()
	}
	if err == nil {
		o.x.Bytes += len(text)
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSlow
	}
	return errLeft
}

// zip is the state of a gzip stream (RFC 1952). Blocks refer to no others, so streams can share them.
type zip struct{ sum, size uint32 }

var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff} // RFC 1952, 2.3: deflate, no time, unknown system

func (z *zip) add(text []byte) {
	z.sum = crc32.Update(z.sum, crc32.IEEETable, text)
	z.size += uint32(len(text))
}

// end returns a last, empty block (RFC 1951, 3.2.6) and the trailer.
func (z *zip) end() []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32([]byte{3, 0}, z.sum), z.size)
}
