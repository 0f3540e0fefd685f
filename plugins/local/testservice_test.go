//go:build unix

package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// testService is a small program to deploy: the test binary itself, started
// with this as its first argument.
const testServiceArg = "test-service"

func testService(args []string) int {
	flags := flag.NewFlagSet(testServiceArg, flag.ExitOnError)
	version := flags.String("version", "v0", "")
	startup := flags.Duration("startup", 0, "time before it listens")
	unhealthy := flags.Bool("unhealthy", false, "answer health checks with 503")
	exit := flags.Int("exit", -1, "exit at once with this code")
	deaf := flags.Bool("deaf", false, "ignore SIGTERM")
	failEvery := flags.Int64("fail-every", 0, "answer every nth request with 500")
	h2c := flags.Bool("h2c", false, "speak only HTTP/2")
	_ = flags.Parse(args)

	fmt.Printf("this is %s, replica %s of %s\n", *version, os.Getenv("RUNNER_REPLICA"), os.Getenv("RUNNER_RELEASE"))
	if *exit >= 0 {
		fmt.Fprintln(os.Stderr, "cannot open the database")
		return *exit
	}
	time.Sleep(*startup)
	asked := make(chan os.Signal, 1)
	if *deaf {
		signal.Ignore(syscall.SIGTERM)
	} else {
		signal.Notify(asked, syscall.SIGTERM)
	}

	var requests atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if *unhealthy {
			http.Error(w, "warming up", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		if n := requests.Add(1); *failEvery > 0 && n%*failEvery == 0 {
			http.Error(w, *version, http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, *version)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, req *http.Request) {
		d, _ := time.ParseDuration(req.URL.Query().Get("for"))
		fmt.Fprint(w, "begun ")
		_ = http.NewResponseController(w).Flush()
		time.Sleep(d)
		fmt.Fprint(w, *version)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, "%s %s %s ", req.Method, req.Host, req.Header.Get("X-Forwarded-For"))
		_, _ = io.Copy(w, req.Body)
	})
	mux.HandleFunc("/env", func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprint(w, os.Getenv(req.URL.Query().Get("name")))
	})
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) {
		fmt.Fprintln(os.Stderr, "crashing")
		os.Exit(7)
	})
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, req *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			fmt.Fprintf(conn, "%s says %s\n", *version, lines.Text())
		}
	})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!*h2c)
	protocols.SetUnencryptedHTTP2(*h2c)
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: mux, Protocols: protocols}
	go func() {
		<-asked
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
