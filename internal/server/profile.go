package server

import (
	"net/http"
	"net/http/pprof"
	"path"
	"runtime"
	"sync"
)

// contention serves the profiles "mutex" and "block". Sampling is costly: it runs only for a request's "seconds".
func contention() http.Handler {
	var busy sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !busy.TryLock() {
			http.Error(w, "another such profile is being taken", http.StatusConflict)
			return
		}
		defer busy.Unlock()
		name := path.Base(r.URL.Path)
		switch {
		case r.FormValue("seconds") == "":
		case name == "mutex":
			defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
		case name == "block":
			runtime.SetBlockProfileRate(10_000) // one sample for each 10 µs of waiting
			defer runtime.SetBlockProfileRate(0)
		}
		pprof.Handler(name).ServeHTTP(w, r)
	})
}
