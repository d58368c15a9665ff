package server

import (
	"net/http"
	_ "net/http/pprof" // registers its handlers with http.DefaultServeMux
	"path"
	"runtime"
	"sync"
)

// profiles serves /debug/pprof/. Sampling for "mutex" and "block" is costly: it runs only for a request's "seconds".
func profiles() http.Handler {
	var busy sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := path.Base(r.URL.Path)
		if name == "mutex" || name == "block" {
			if !busy.TryLock() {
				http.Error(w, "another such profile is being taken", http.StatusConflict)
				return
			}
			defer busy.Unlock()
		}
		switch {
		case r.FormValue("seconds") == "":
		case name == "mutex":
			defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
		case name == "block":
			runtime.SetBlockProfileRate(10_000) // one sample for each 10 µs of waiting
			defer runtime.SetBlockProfileRate(0)
		}
		http.DefaultServeMux.ServeHTTP(w, r)
	})
}
