// Go's net/http. A handler may block and compute. The stop is Server.Shutdown,
// as in its documentation.
package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

func text(body []byte) http.HandlerFunc {
	length := strconv.Itoa(len(body))
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", length)
		w.Write(body)
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(body)
}

// The `us` in the query.
func microseconds(r *http.Request) int {
	number, _ := strconv.Atoi(r.URL.Query().Get("us"))
	return number
}

// The result of the last computation, so that the compiler does not remove it.
var computed atomic.Uint64

// The same steps as in ../src/lib.rs.
func spin(microseconds int) {
	number := uint64(1)
	for steps := microseconds * 500; steps > 0; steps-- {
		number ^= number << 13
		number ^= number >> 7
		number ^= number << 17
	}
	computed.Store(number)
}

func main() {
	address := flag.String("address", "127.0.0.1", "the address to listen on")
	port := flag.String("port", "0", "the port to listen on")
	flag.Parse()

	hello := text([]byte("Hello, world!"))
	mux := http.NewServeMux()
	mux.HandleFunc("/", hello)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/64k", text(bytes.Repeat([]byte("x"), 64<<10)))
	mux.HandleFunc("/10m", text(bytes.Repeat([]byte("x"), 10<<20)))
	mux.HandleFunc("/block", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(5 * time.Millisecond)
		hello(w, r)
	})
	nap := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(microseconds(r)) * time.Microsecond)
		hello(w, r)
	}
	mux.HandleFunc("/nap", nap)
	mux.HandleFunc("/first/", nap)
	mux.HandleFunc("/spin", func(w http.ResponseWriter, r *http.Request) {
		spin(microseconds(r))
		hello(w, r)
	})
	server := &http.Server{Addr: *address + ":" + *port, Handler: mux}

	// ListenAndServe returns when Shutdown is called, but Shutdown still runs: the
	// program waits for it.
	stopped := make(chan struct{})
	go func() {
		terminate := make(chan os.Signal, 1)
		signal.Notify(terminate, syscall.SIGTERM)
		<-terminate
		server.Shutdown(context.Background())
		close(stopped)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	<-stopped
}
