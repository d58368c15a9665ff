package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"liked"
	"liked/internal/journal"
)

func (h *Handler) journalRoutes() []route {
	const filter = "operation user app status text calls"
	return []route{
		{pattern: "GET /admin/requests", endpoint: gives(h.requests), query: filter + " limit after",
			does: "Lists the requests of the journal, the newest first. What is recorded meanwhile changes no page."},
		{pattern: "DELETE /admin/requests", endpoint: gives(h.clearRequests), does: "Empties the journal."},
		{pattern: "GET /admin/requests/live", endpoint: gives(h.liveRequests), query: filter, long: true, content: eventStream,
			does: "Sends requests as they are recorded, as server-sent events: request with a row of the list (a stream's row at its " +
				"beginning and at its end), lost with how many the reader was too slow for, and cleared."},
		{pattern: "GET /admin/requests/counts", endpoint: gives(h.countRequests),
			does: "Counts calls by status, and the likes that were set in intervals, since the start, a reset or since the journal was emptied."},
		{pattern: "GET /admin/requests/{transaction_id}", endpoint: gives(h.request),
			does: "Shows a request with headers and bodies, the rate windows around it, and what became of its signature."},
		{pattern: "POST /admin/verify", endpoint: takes(h.verify), long: true,
			does: "Holds the journal to an expectation: 200, or 409 with what was found, and what nearly was with how it differs."},
	}
}

// RequestPage is a page of the journal, the newest request first. Next is what to continue after, "" at the end.
type RequestPage struct {
	Data []journal.Row `json:"data"`
	Next string        `json:"next"`
}

func (h *Handler) journal() (*journal.Journal, error) {
	if h.Dev.Journal == nil {
		return nil, liked.Errorf(liked.NotFound, "the journal is off: start the server without --journal 0")
	}
	return h.Dev.Journal, nil
}

// requestFilter reads what selects requests, beside other parameters.
func (h *Handler) requestFilter(r *http.Request, others map[string]func(string) error) (f journal.Filter, err error) {
	names := h.names(r)
	others["operation"] = func(text string) error { f.Operation = text; return names.Operation(text) }
	others["calls"] = flag(&f.Calls)
	others["text"] = func(text string) error { f.Text = text; return nil }
	others["status"] = func(text string) (err error) { f.Status, err = journal.ParseStatus(text); return err }
	others["user"] = func(text string) (err error) { f.User, err = names.User(text); return err }
	others["app"] = func(text string) (err error) { f.App, err = names.App(text); return err }
	return f, query(r, others)
}

func (h *Handler) requests(r *http.Request) (page RequestPage, err error) {
	j, err := h.journal()
	if err != nil {
		return page, err
	}
	var most int
	var after uint64
	f, err := h.requestFilter(r, map[string]func(string) error{"limit": upTo(&most), "after": place(&after)})
	if err != nil {
		return page, err
	}
	var next uint64
	if page.Data, next = j.List(f, after, most); next > 0 {
		page.Next = strconv.FormatUint(next, 10)
	}
	return page, nil
}

func (h *Handler) request(r *http.Request) (journal.Detail, error) {
	j, err := h.journal()
	if err != nil {
		return journal.Detail{}, err
	}
	return j.Find(r.PathValue("transaction_id"))
}

func (h *Handler) clearRequests(*http.Request) (Changed, error) {
	j, err := h.journal()
	if err == nil {
		j.Clear()
	}
	return Changed{err == nil}, err
}

func (h *Handler) countRequests(*http.Request) (journal.Counts, error) {
	j, err := h.journal()
	if err != nil {
		return journal.Counts{}, err
	}
	return j.Counts(), nil
}

const signOfLife = 10 * time.Second

// liveRequests keeps nothing for its reader: what is not read in time is no longer in the journal, and said to be lost.
func (h *Handler) liveRequests(r *http.Request) (stream, error) {
	j, err := h.journal()
	if err != nil {
		return nil, err
	}
	f, err := h.requestFilter(r, map[string]func(string) error{})
	if err != nil {
		return nil, err
	}
	reader := j.Read()
	return func(w *streamed) error {
		events := &eventWriter{out: w}
		events.comment("the requests from now on")
		quiet := time.NewTicker(signOfLife)
		defer quiet.Stop()
		for events.err == nil {
			news, changed := reader.Next(f)
			if news.Cleared {
				events.send("cleared", struct{}{})
			}
			if news.Lost > 0 {
				events.send("lost", Lost{news.Lost})
			}
			for _, row := range news.Rows {
				events.send("request", row)
			}
			switch {
			case events.pending():
				events.flush()
			case changed == nil:
				return nil
			default:
				select {
				case <-changed:
				case <-quiet.C:
					events.comment("")
				case <-r.Context().Done():
					return nil
				}
			}
		}
		return nil // the reader is gone
	}, nil
}

// Lost is the data of an event about requests that a reader was too slow for.
type Lost struct {
	Lost uint64 `json:"lost"`
}

func (h *Handler) verify(r *http.Request, in journal.Expectation) (journal.Verdict, error) {
	j, err := h.journal()
	if err != nil {
		return journal.Verdict{}, err
	}
	return j.Verify(r.Context(), in, h.names(r))
}

// Requests lists requests of the journal. query has the filter, as operation=usersIdLike&status=4xx, and what to continue
// after.
func (c *Client) Requests(ctx context.Context, query url.Values) (page RequestPage, err error) {
	return page, c.Call(ctx, http.MethodGet, "/admin/requests?"+query.Encode(), nil, &page)
}

// Request returns a request of the journal with all that is kept of it.
func (c *Client) Request(ctx context.Context, transaction string) (d journal.Detail, err error) {
	return d, c.Call(ctx, http.MethodGet, "/admin/requests/"+url.PathEscape(transaction), nil, &d)
}

// ClearRequests empties the journal.
func (c *Client) ClearRequests(ctx context.Context) error {
	return c.Call(ctx, http.MethodDelete, "/admin/requests", nil, nil)
}

// Verify holds the journal to an expectation, and returns the verdict, whether or not it holds.
func (c *Client) Verify(ctx context.Context, e journal.Expectation) (journal.Verdict, error) {
	return c.verify(ctx, e)
}

// VerifyJSON is Verify with an expectation that is JSON already.
func (c *Client) VerifyJSON(ctx context.Context, expectation []byte) (journal.Verdict, error) {
	return c.verify(ctx, expectation)
}

func (c *Client) verify(ctx context.Context, e any) (v journal.Verdict, err error) {
	err = c.Call(ctx, http.MethodPost, "/admin/verify", e, &v)
	if refused, ok := errors.AsType[*Refusal](err); ok && refused.Status == http.StatusConflict {
		if err := json.Unmarshal(refused.Body, &v); err == nil && v.Data != nil {
			return v, nil
		}
	}
	return v, err
}

// FollowRequests calls row with each request as it is recorded, from a moment before started is called until ctx ends, row
// returns an error or the server stops. lost is called with how many requests row was too slow for, and cleared when the
// journal was emptied.
func (c *Client) FollowRequests(
	ctx context.Context, query url.Values, started func(), row func(journal.Row) error, lost func(n uint64), cleared func(),
) error {
	resp, err := c.Send(ctx, http.MethodGet, "/admin/requests/live?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	started()
	return readEvents(resp.Body, func(event string, data []byte) error {
		switch event {
		case "request":
			var r journal.Row
			if err := json.Unmarshal(data, &r); err != nil {
				return err
			}
			return row(r)
		case "lost":
			var l Lost
			if err := json.Unmarshal(data, &l); err != nil {
				return err
			}
			lost(l.Lost)
		case "cleared":
			cleared()
		}
		return nil
	})
}
