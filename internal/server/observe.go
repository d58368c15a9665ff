package server

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"liked"
	"liked/internal/api"
	"liked/internal/console"
	"liked/internal/exchange"
	"liked/internal/explorer"
	"liked/internal/home"
	"liked/internal/journal"
	"liked/internal/oauth"
	"liked/internal/portal"
	"liked/internal/store"
	"liked/internal/webhook"
)

// observer logs and counts requests. Labels are operationIds, never paths or user ids.
type observer struct {
	logger   *slog.Logger
	reuse    bool                       // the logger keeps no attributes
	address  func(*http.Request) string // of the client
	registry *prometheus.Registry
	inFlight atomic.Int64 // requests to the API
	requests *prometheus.CounterVec
	refused  *prometheus.CounterVec // connections
	attempts *prometheus.CounterVec // of webhooks
	waiting  atomic.Int64           // likes in the store
	likes    [2]atomic.Int64        // taken back, set
	byName   map[string]*operation  // immutable
}

type operation struct {
	name     string
	duration prometheus.Observer
	codes    sync.Map // status int -> prometheus.Counter; saves a look-up by labels
}

// noOperation stands for unknown paths and methods.
const noOperation = "none"

func newObserver(logger *slog.Logger, registry *prometheus.Registry, address func(*http.Request) string) *observer {
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	with := promauto.With(registry)
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return with.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	_, ours := logger.Handler().(urgent)
	o := &observer{
		logger:   logger,
		reuse:    ours,
		address:  address,
		registry: registry,
		requests: counters("liked_requests_total", "Requests to the API, by operationId and status.", "operation", "code"),
		refused:  counters("liked_connections_refused_total", "Connections that there was no room for, by listener.", "listener"),
		attempts: counters("liked_webhook_attempts_total",
			"What became of attempts to deliver to webhooks, and of challenges; lost: how often likes were forgotten undelivered.", "outcome"),
		byName: make(map[string]*operation),
	}
	o.gauge("liked_requests_in_flight", "Requests to the API that are being answered.", nil,
		func() float64 { return float64(o.inFlight.Load()) })
	for _, outcome := range webhook.Outcomes() {
		o.attempts.WithLabelValues(string(outcome))
	}
	for i, change := range []string{"unlike", "like"} {
		with.NewCounterFunc(prometheus.CounterOpts{Name: "liked_like_changes_total",
			Help:        "Likes that were set and taken back; repeats change nothing and do not count.",
			ConstLabels: prometheus.Labels{"change": change}}, func() float64 { return float64(o.likes[i].Load()) })
	}
	durations := with.NewHistogramVec(prometheus.HistogramOpts{
		Name: "liked_request_duration_seconds", Help: "Time from the end of a request's headers to its answer, by operationId.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"operation"})
	for _, id := range append(served(), noOperation) {
		o.byName[id] = &operation{name: id, duration: durations.WithLabelValues(id)}
	}
	return o
}

// served are the operations that requests to the server have.
func served() []string {
	return slices.Concat(api.Operations(), oauth.Operations(), portal.Operations(), explorer.Operations(), home.Operations(),
		console.Operations())
}

// gauge measures a value whenever metrics are read.
func (o *observer) gauge(name, help string, labels prometheus.Labels, value func() float64) {
	o.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
}

func (o *observer) attempted(outcome webhook.Outcome) {
	o.attempts.WithLabelValues(string(outcome)).Inc()
}

func (o *observer) watchHooks(hooks func() *webhook.Hooks) {
	const webhooks = "Webhooks that answered their last challenge right, and those that get nothing until they do."
	o.gauge("liked_webhooks", webhooks, prometheus.Labels{"state": "valid"}, func() float64 { return float64(hooks().Summary().Valid) })
	o.gauge("liked_webhooks", webhooks, prometheus.Labels{"state": "invalid"}, func() float64 { return float64(hooks().Summary().Invalid) })
	o.gauge("liked_webhook_delay_seconds", "How long the oldest like has waited that a valid webhook has not taken yet.", nil,
		func() float64 { return hooks().Summary().Delay.Seconds() })
}

// watchStore shows what the store can tell of itself: reads of blocks from cache and disk, or figures of its own.
// now returns the store of the moment: another one, of the same engine, may have taken its place.
func (o *observer) watchStore(st store.Store, now func() store.Store) {
	if metered, ok := st.(store.Metered); ok {
		for _, m := range metered.Meters() {
			if m.Rises {
				o.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Read))
			} else {
				o.gauge(m.Name, m.Help, nil, m.Read)
			}
		}
	}
	type reader interface {
		BlockReads() (cached, disk int64, ok bool)
	}
	if _, ok := st.(reader); !ok {
		return
	}
	desc := prometheus.NewDesc("liked_store_block_reads_total",
		"Blocks of the database that calls looked for, by where they were: in the cache or on the disk.", []string{"from"}, nil)
	o.registry.MustRegister(prometheus.CollectorFunc(func(metrics chan<- prometheus.Metric) {
		if cached, disk, ok := now().(reader).BlockReads(); ok {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(cached), "cache")
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(disk), "disk")
		}
	}))
}

func (o *observer) observe(r *http.Request, x exchange.Exchange) {
	op := o.byName[x.Operation]
	if op == nil {
		op = o.byName[noOperation]
	}
	op.duration.Observe(x.Duration.Seconds())
	count, ok := op.codes.Load(x.Status)
	if !ok {
		count, _ = op.codes.LoadOrStore(x.Status, o.requests.WithLabelValues(op.name, strconv.Itoa(x.Status)))
	}
	count.(prometheus.Counter).Inc()

	level := slog.LevelInfo
	if x.Status >= 500 && x.Err != nil { // without an error, it is overload
		level = slog.LevelError
	}
	ctx := r.Context()
	if !o.logger.Enabled(ctx, level) {
		return
	}
	path := r.URL.EscapedPath()
	space := attributes.Get().(*[maxAttributes]slog.Attr)
	attrs := append(space[:0], slog.String("operation", op.name), slog.String("method", x.Method),
		slog.Int("status", x.Status), slog.Duration("duration", x.Duration), slog.String("transaction", x.TransactionID),
		slog.String("address", o.address(r)), slog.String("path", path[:min(len(path), maxPath)]))
	if x.App != 0 {
		attrs = append(attrs, slog.Int64("app", int64(x.App)))
	}
	if x.User != 0 {
		attrs = append(attrs, slog.Int64("user", int64(x.User)))
	}
	if x.Why != "" {
		attrs = append(attrs, slog.String("why", x.Why))
	}
	if x.Err != nil {
		attrs = append(attrs, slog.String("error", x.Err.Error()))
	}
	// The source position, always this one, is left out. A group without a name is as its members.
	line := slog.NewRecord(time.Now(), level, "request", 0)
	line.AddAttrs(slog.Attr{Value: slog.GroupValue(attrs...)})
	_ = o.logger.Handler().Handle(ctx, line) // an error could be reported nowhere
	if o.reuse {
		attributes.Put(space)
	}
}

const (
	maxAttributes = 11  // of a line
	maxPath       = 200 // bytes of it that are logged; a query, which may hold secrets, is not
)

// attributes spares allocations: a record has room for five.
var attributes = sync.Pool{New: func() any { return new([maxAttributes]slog.Attr) }}

// countedStore counts like changes, and bounds how many wait for the disk.
type countedStore struct {
	store.Store
	*observer
	journal *journal.Journal // nil: none is kept
}

// maxWaiting is how many likes may wait: 0.2 s of a disk that takes 20,000 a second. Without a bound, likes would wait
// on a slow disk for longer than clients do.
const maxWaiting = 4096

var errTooMany = liked.Errorf(liked.Overloaded, "%d likes are waiting to be written already", maxWaiting)

func (s countedStore) SetLike(ctx context.Context, user liked.UserID, post liked.PostID, on bool, at time.Time) (bool, error) {
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > maxWaiting {
		return false, errTooMany
	}
	changed, err := s.Store.SetLike(ctx, user, post, on, at)
	if changed && err == nil {
		i := 0
		if on {
			i = 1
			s.journal.Liked()
		}
		s.likes[i].Add(1)
	}
	return changed, err
}
