// SPDX-License-Identifier: Apache-2.0

// An ordinary Go service: asks each --downstream in turn, then each --parallel at once from
// goroutines of goroutines, then a Redis server. net/http and nothing else.
//
//	truth --listen 127.0.0.1:0 [--downstream URL]... [--parallel URL]... [--connections N] [--redis HOST:PORT]
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

type list []string

func (l *list) String() string         { return strings.Join(*l, " ") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

type service struct {
	client   *http.Client
	inTurn   list
	parallel list
	redis    *pool
}

func main() {
	var s service
	listen := flag.String("listen", "127.0.0.1:0", "address")
	connections := flag.Int("connections", 0, "to each server at most; 0: as many as it takes")
	redis := flag.String("redis", "", "address of a Redis server")
	flag.Var(&s.inTurn, "downstream", "asked in turn")
	flag.Var(&s.parallel, "parallel", "asked at once")
	flag.Parse()
	transport := &http.Transport{MaxConnsPerHost: *connections, MaxIdleConnsPerHost: 1024}
	s.client = &http.Client{Transport: transport}
	if *redis != "" {
		s.redis = newPool(*redis, *connections)
	}
	log.Fatal(http.ListenAndServe(*listen, &s))
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	status := http.StatusOK
	for _, base := range s.inTurn {
		status = worst(status, s.ask(base, id))
	}
	statuses := make(chan int, len(s.parallel))
	var group sync.WaitGroup
	group.Add(1)
	go func() { // the calls are made two goroutines away
		defer group.Done()
		for _, base := range s.parallel {
			group.Add(1)
			go func(base string) {
				defer group.Done()
				statuses <- s.ask(base, id)
			}(base)
		}
	}()
	group.Wait()
	close(statuses)
	for one := range statuses {
		status = worst(status, one)
	}
	if s.redis != nil {
		if err := s.redis.get("key:" + id); err != nil {
			status = http.StatusBadGateway
		}
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, id+"\n")
}

func (s *service) ask(base, id string) int {
	target, err := url.Parse(base)
	if err != nil {
		return http.StatusInternalServerError
	}
	target.Path += "/" + id
	response, err := s.client.Get(target.String())
	if err != nil {
		log.Print(err)
		return http.StatusBadGateway
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func worst(a, b int) int {
	if a > b {
		return a
	}
	return b
}

// pool keeps connections as database/sql does: the goroutine that asks writes.
type pool struct {
	address string
	room    chan struct{}
	mutex   sync.Mutex
	free    []*bufio.ReadWriter
}

func newPool(address string, connections int) *pool {
	if connections == 0 {
		connections = 1024
	}
	return &pool{address: address, room: make(chan struct{}, connections)}
}

func (p *pool) get(key string) error {
	p.room <- struct{}{}
	defer func() { <-p.room }()
	connection, err := p.take()
	if err != nil {
		return err
	}
	fmt.Fprintf(connection, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(key), key)
	if err := connection.Flush(); err != nil {
		return err
	}
	line, err := connection.ReadString('\n')
	if err != nil {
		return err
	}
	if line != "$-1\r\n" {
		return fmt.Errorf("unexpected answer %q", line)
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.free = append(p.free, connection)
	return nil
}

func (p *pool) take() (*bufio.ReadWriter, error) {
	p.mutex.Lock()
	if last := len(p.free) - 1; last >= 0 {
		connection := p.free[last]
		p.free = p.free[:last]
		p.mutex.Unlock()
		return connection, nil
	}
	p.mutex.Unlock()
	connection, err := net.Dial("tcp", p.address)
	if err != nil {
		return nil, err
	}
	return bufio.NewReadWriter(bufio.NewReader(connection), bufio.NewWriter(connection)), nil
}
