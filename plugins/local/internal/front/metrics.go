//go:build unix

package front

import (
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/measure"
)

// metrics answers what was counted. It gives no way to change anything.
func (f *Front) metrics() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		service, all := f.named()
		if err := measure.WriteMetrics(w, service, all); err != nil {
			f.log.Debug("metrics not sent", "err", err)
		}
	})
	mux.HandleFunc("GET /window", f.window)
	return localOnly(mux)
}

// window answers for one release from one moment to another.
func (f *Front) window(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	from, err := time.Parse(time.RFC3339Nano, q.Get("from"))
	if err != nil {
		http.Error(w, "from must be a time in RFC 3339 form", http.StatusBadRequest)
		return
	}
	to, err := time.Parse(time.RFC3339Nano, q.Get("to"))
	if err != nil {
		http.Error(w, "to must be a time in RFC 3339 form", http.StatusBadRequest)
		return
	}
	_, all := f.named()
	for _, r := range all {
		if r.ID == q.Get("release") {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(r.Window(from, to))
			return
		}
	}
	http.Error(w, "the release is not installed", http.StatusNotFound)
}

// localOnly refuses a web page that had a name of its own point at this machine.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		host, _, err := net.SplitHostPort(req.Host)
		if err != nil {
			host = req.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "ask by the loopback address", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, req)
	})
}
