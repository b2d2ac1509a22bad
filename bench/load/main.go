// SPDX-License-Identifier: Apache-2.0

// Command load sends HTTP/1.1 requests at a fixed rate over keep-alive connections and prints
// what came back as one JSON object. Open loop: a connection that falls behind sends at once,
// and what it could not send in time is reported as late.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"sync"
	"time"
)

type result struct {
	Sent      int     `json:"sent"`
	Completed int     `json:"completed"`
	Errors    int     `json:"errors"`
	Late      int     `json:"late"`
	Seconds   float64 `json:"seconds"`
	P50us     float64 `json:"p50_us"`
	P99us     float64 `json:"p99_us"`
}

type worker struct {
	address   string
	path      string
	interval  time.Duration
	offset    time.Duration
	sent      int
	completed int
	errors    int
	late      int
	latencies []time.Duration
}

func (w *worker) run(end time.Time) {
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		w.errors++
		return
	}
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 4096)
	request := []byte("GET " + w.path + " HTTP/1.1\r\nHost: " + w.address + "\r\nUser-Agent: load\r\n\r\n")
	for next := time.Now().Add(w.offset); next.Before(end); next = next.Add(w.interval) {
		if wait := time.Until(next); wait > 0 {
			time.Sleep(wait)
		} else if -wait > 10*w.interval {
			w.late++
		}
		begin := time.Now()
		w.sent++
		if _, err := conn.Write(request); err != nil {
			w.errors++
			return
		}
		if err := readResponse(reader); err != nil {
			w.errors++
			return
		}
		w.completed++
		if w.completed%16 == 0 {
			w.latencies = append(w.latencies, time.Since(begin))
		}
	}
}

// readResponse skips one response; only Content-Length framing, which is what nginx sends here.
func readResponse(reader *bufio.Reader) error {
	length := 0
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		const name = "Content-Length:"
		if len(line) > len(name) && string(line[:len(name)]) == name {
			if _, err := fmt.Sscanf(string(line[len(name):]), "%d", &length); err != nil {
				return err
			}
		}
	}
	_, err := io.CopyN(io.Discard, reader, int64(length))
	return err
}

func main() {
	address := flag.String("address", "127.0.0.1:8080", "host:port")
	path := flag.String("path", "/", "request target")
	rate := flag.Float64("rate", 1000, "requests a second, all connections together")
	connections := flag.Int("connections", 32, "keep-alive connections")
	seconds := flag.Float64("seconds", 5, "how long")
	flag.Parse()

	interval := time.Duration(float64(*connections) / *rate * float64(time.Second))
	begin := time.Now()
	end := begin.Add(time.Duration(*seconds * float64(time.Second)))
	workers := make([]*worker, *connections)
	var group sync.WaitGroup
	for i := range workers {
		w := &worker{
			address: *address, path: *path, interval: interval,
			offset: interval * time.Duration(i) / time.Duration(*connections),
		}
		workers[i] = w
		group.Add(1)
		go func() {
			defer group.Done()
			w.run(end)
		}()
	}
	group.Wait()
	total := result{Seconds: time.Since(begin).Seconds()}
	var latencies []time.Duration
	for _, w := range workers {
		total.Sent += w.sent
		total.Completed += w.completed
		total.Errors += w.errors
		total.Late += w.late
		latencies = append(latencies, w.latencies...)
	}
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	if n := len(latencies); n > 0 {
		total.P50us = float64(latencies[n/2].Microseconds())
		total.P99us = float64(latencies[n*99/100].Microseconds())
	}
	if err := json.NewEncoder(os.Stdout).Encode(total); err != nil {
		os.Exit(1)
	}
}
