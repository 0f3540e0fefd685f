package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"sync/atomic"
	"time"
)

// VersionHeader is the header of every answer that says which version gave it.
const VersionHeader = "X-Shop-Version"

// Config is how a shop behaves.
type Config struct {
	Version string
	// FailRate is the share of requests, 0 to 1, that are answered with 500. Which
	// ones is not left to chance: with 0.2 it is every fifth, so that two runs of
	// a demonstration see the same.
	FailRate float64
	// Latency is added to every answer but those to health checks.
	Latency time.Duration
}

func (c Config) check() error {
	switch {
	case math.IsNaN(c.FailRate) || c.FailRate < 0 || c.FailRate > 1:
		return fmt.Errorf("the fail rate %v is not from 0 to 1", c.FailRate)
	case c.Latency < 0:
		return fmt.Errorf("the latency %v is negative", c.Latency)
	}
	return nil
}

// Product is on sale.
type Product struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Cents int    `json:"cents"`
}

var products = []Product{
	{"kettle", "Copper kettle", 5900},
	{"lamp", "Reading lamp", 3450},
	{"stool", "Three-legged stool", 7200},
	{"mug", "Stoneware mug", 1250},
}

// Order is what a customer sends, and gets back with the rest filled in.
type Order struct {
	ID       int64  `json:"id"`
	Product  string `json:"product"`
	Quantity int    `json:"quantity"`
	Cents    int    `json:"cents"`
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// shop answers requests.
type shop struct {
	Config
	requests atomic.Int64
	orders   atomic.Int64
}

// New makes a shop. Its health check always succeeds: what is wrong with a
// bad version shows in its answers only.
func New(cfg Config) http.Handler {
	s := &shop{Config: cfg}
	business := http.NewServeMux()
	business.HandleFunc("GET /{$}", s.page)
	business.HandleFunc("GET /api/products", s.list)
	business.HandleFunc("POST /api/order", s.order)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("/", s.troubled(business))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set(VersionHeader, s.Version)
		mux.ServeHTTP(w, req)
	})
}

// troubled makes requests fail and take as long as the configuration says.
func (s *shop) troubled(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fails := s.fails(s.requests.Add(1))
		if s.Latency > 0 {
			select {
			case <-time.After(s.Latency):
			case <-req.Context().Done():
				return
			}
		}
		if fails {
			answer(w, http.StatusInternalServerError, map[string]string{"error": "the cash register is stuck"})
			return
		}
		next.ServeHTTP(w, req)
	})
}

// fails reports whether the nth request does: those with which the number that
// must have failed so far grows.
func (s *shop) fails(n int64) bool {
	return math.Floor(float64(n)*s.FailRate) > math.Floor(float64(n-1)*s.FailRate)
}

func (s *shop) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, struct {
		Version  string
		Products []Product
	}{s.Version, products})
}

// Price in the shop's currency.
func (p Product) Price() string { return fmt.Sprintf("%d.%02d", p.Cents/100, p.Cents%100) }

func (s *shop) list(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"version": s.Version, "products": products})
}

func (s *shop) order(w http.ResponseWriter, req *http.Request) {
	var o Order
	err := json.NewDecoder(http.MaxBytesReader(w, req.Body, 64<<10)).Decode(&o)
	if err == nil {
		err = s.price(&o)
	}
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	o.ID = s.orders.Add(1)
	answer(w, http.StatusCreated, o)
}

const mostOfOne = 100

func (s *shop) price(o *Order) error {
	if o.Quantity < 1 || o.Quantity > mostOfOne {
		return fmt.Errorf("the quantity must be from 1 to %d", mostOfOne)
	}
	for _, p := range products {
		if p.ID == o.Product {
			o.Cents = p.Cents * o.Quantity
			return nil
		}
	}
	return errors.New("there is no such product")
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
