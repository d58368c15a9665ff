package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"liked"
	"liked/internal/exchange"
	"liked/internal/store"
)

// connection is one of an app to a partition of a stream, open or ended.
type connection struct {
	slot
	number liked.Seq // in the order in which they began
	id     string
	client string // its address
	begun  time.Time
	ended  time.Time
	reason string // why it ended, "" while it is open

	end context.CancelCauseFunc // ends the stream
}

// How many ended connections are kept: of an app, and of all. The oldest are forgotten.
const (
	historyOfApp = 100
	history      = 10_000
)

// newUUID returns a random UUID (RFC 9562, 5.4).
func newUUID() string {
	x := exchange.RandomHex(16)
	return fmt.Sprintf("%s-%s-4%s-a%s-%s", x[:8], x[8:12], x[13:16], x[17:20], x[20:])
}

// finish frees the connections' slots on all servers, so that they can be taken at once, and ends their streams; those
// that were finished before stay as they are. No reason leaves nothing in the history.
func (a *API) finish(reason string, cause error, connections ...*connection) {
	s := &a.streams
	var names []string
	s.mu.Lock()
	connections = slices.DeleteFunc(slices.Clone(connections), func(c *connection) bool { return !c.ended.IsZero() })
	for _, c := range connections {
		c.ended, c.reason = a.Now(), reason
		names = append(names, c.slot.lease())
	}
	asking := s.asking
	s.mu.Unlock()
	if len(connections) == 0 {
		return
	}
	if asking != nil {
		<-asking // else it would take again what is released
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.lease)
	defer cancel()
	_ = a.Store.Release(ctx, names) // on failure they expire
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range connections {
		delete(s.slots, c.slot)
		if c.end(cause); reason != "" {
			s.remember(c)
		}
	}
	if len(s.slots) == 0 {
		s.stop()
		s.stop = nil
	}
}

// remember adds an ended connection to the history. s.mu must be held.
func (s *streams) remember(c *connection) {
	kept := *c
	kept.end = nil // with what it refers to
	s.past = append(s.past, kept)
	oldest, same := 0, 0
	for i, other := range slices.Backward(s.past) {
		if other.app == c.app {
			oldest, same = i, same+1
		}
	}
	if same > historyOfApp {
		s.past = slices.Delete(s.past, oldest, oldest+1)
	} else if len(s.past) > history {
		s.past = slices.Delete(s.past, 0, 1)
	}
}

// of returns copies of the app's connections, the newest first.
func (s *streams) of(app liked.AppID) (all []connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.past {
		if c.app == app {
			all = append(all, c)
		}
	}
	for _, c := range s.slots {
		if c.app == app {
			all = append(all, *c)
		}
	}
	slices.SortFunc(all, func(a, b connection) int { return cmp.Compare(b.number, a.number) })
	return all
}

type connectionsQuery struct {
	Status     string   `query:"status" words:"status"` // empty: active
	Endpoints  []string `query:"endpoints"`
	MaxResults int      `query:"max_results" range:"1 100" preset:"10"`
	Token      string   `query:"pagination_token"`
	Fields     []string `query:"connection.fields"`
}

// connectionObject is X's. The id is always set, the rest unless a request selects fields.
type connectionObject struct {
	ID             string `json:"id"`
	Endpoint       string `json:"endpoint_name,omitempty"`
	ConnectedAt    string `json:"connected_at,omitempty" openapi:"date-time"`
	DisconnectedAt string `json:"disconnected_at,omitempty" openapi:"date-time"`
	Reason         string `json:"disconnect_reason,omitempty"`
	Client         string `json:"client_ip,omitempty"`
}

func newConnection(c *connection, fields []string) connectionObject {
	o := connectionObject{ID: c.id, Endpoint: c.stream, ConnectedAt: timestamp(c.begun), Reason: c.reason, Client: c.client}
	if !c.ended.IsZero() {
		o.DisconnectedAt = timestamp(c.ended)
	}
	for field, member := range map[string]*string{"endpoint_name": &o.Endpoint, "connected_at": &o.ConnectedAt, "client_ip": &o.Client,
		"disconnected_at": &o.DisconnectedAt, "disconnect_reason": &o.Reason} {
		if len(fields) > 0 && !slices.Contains(fields, field) {
			*member = ""
		}
	}
	return o
}

// connections lists the app's connections to this server.
func (a *API) connections(c *call) (any, error) {
	in := c.query.(*connectionsQuery)
	l := list{"connections", int64(c.who.App)}
	from, max, err := a.page(l, cmp.Or(in.MaxResults, 10), in.Token)
	if err != nil {
		return nil, err
	}
	status := cmp.Or(in.Status, "active")
	found := slices.DeleteFunc(a.streams.of(c.who.App), func(c connection) bool {
		return from.Seq != 0 && c.number >= from.Seq ||
			status == "active" && c.reason != "" || status == "inactive" && c.reason == "" ||
			len(in.Endpoints) > 0 && !slices.Contains(in.Endpoints, c.stream)
	})
	var page meta
	if len(found) > max {
		found = found[:max]
		page.NextToken = a.token(l, store.Cursor{Seq: found[max-1].number})
	}
	objects := []connectionObject{}
	for i := range found {
		objects = append(objects, newConnection(&found[i], in.Fields))
	}
	page.ResultCount = len(objects)
	return document{Data: objects, Meta: page}, nil
}

type terminated struct {
	Successful int                `json:"successful_kills"`
	Failed     int                `json:"failed_kills"`
	Results    []terminatedResult `json:"results"`
}

type terminatedResult struct {
	ID      string `json:"uuid"`
	Success bool   `json:"success"`
	Error   string `json:"error_message,omitempty"`
}

// terminate ends the app's open connections that are meant. Their slots are free when it answers.
func (a *API) terminate(c *call, meant func(*connection) bool) terminated {
	var ending []*connection
	a.streams.mu.Lock()
	for _, open := range a.streams.slots {
		if open.app == c.who.App && open.ended.IsZero() && meant(open) {
			ending = append(ending, open)
		}
	}
	a.streams.mu.Unlock()
	slices.SortFunc(ending, func(a, b *connection) int { return cmp.Compare(a.number, b.number) })
	a.finish("operator_disconnect", errTerminated, ending...)
	done := terminated{Successful: len(ending), Results: []terminatedResult{}}
	for _, c := range ending {
		done.Results = append(done.Results, terminatedResult{ID: c.id, Success: true})
	}
	return done
}

func (a *API) terminateAll(c *call) (any, error) {
	return document{Data: a.terminate(c, func(*connection) bool { return true })}, nil
}

func (a *API) terminateEndpoint(c *call) (any, error) {
	return document{Data: a.terminate(c, func(open *connection) bool { return open.stream == c.path[0].value })}, nil
}

var terminateBody = &schema{properties: []property{
	{name: "uuids", typ: "array", required: true, example: "6ba7b810-9dad-41d1-a0b4-00c04fd430c8"},
}}

func (a *API) terminateByID(c *call) (any, error) {
	const most = 100
	text, _ := c.body.find("uuids")
	var values []json.RawMessage
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, err // readBody has checked it
	}
	at, ids, faults := object{"$.uuids", []string{text}}, []string(nil), []fault(nil)
	for i, v := range values {
		if typ := typeOf(string(v)); typ != "string" {
			faults = append(faults, fault{at, fmt.Sprintf("$.uuids[%d]: %s found, string expected", i, typ)})
		} else if id := unquote(string(v)); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	switch {
	case len(values) == 0:
		faults = append(faults, fault{at, "$.uuids: there must be a minimum of 1 items in the array"})
	case len(values) > most:
		faults = append(faults, fault{at, fmt.Sprintf("$.uuids: there must be a maximum of %d items in the array", most)})
	}
	if len(faults) > 0 {
		return nil, a.invalid("", faults...)
	}
	done := a.terminate(c, func(open *connection) bool { return slices.Contains(ids, open.id) })
	for _, id := range ids {
		if !slices.ContainsFunc(done.Results, func(r terminatedResult) bool { return r.ID == id }) {
			done.Failed++
			done.Results = append(done.Results, terminatedResult{ID: id, Error: "the app has no open connection with this id"})
		}
	}
	return document{Data: done}, nil
}
