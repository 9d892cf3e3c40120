package httpserver

import (
	"net/http"
	"net/http/pprof"
)

// Profiles returns the handler of /debug/pprof/. It is open to everyone who can reach its port. That is another port than the
// one of probes and metrics, because a profile costs processor time, and shows more of a process than a metric.
func Profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	// The command line may contain the password of a database.
	mux.Handle("GET /debug/pprof/cmdline", http.NotFoundHandler())
	return mux
}
