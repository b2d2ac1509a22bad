// SPDX-License-Identifier: Apache-2.0

// A server and a client over TLS. The client opens connections, says "waiting", and asks when it is
// sent SIGUSR1: on these (early) or on new ones (late).
//
//	tls-go serve PORT CERTIFICATE KEY
//	tls-go call PORT early|late [http2]
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	connections = 4
	requests    = 40
)

func serve(port, certificate, key string) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * time.Millisecond)
		fmt.Fprintf(w, "you asked for %s\n", r.URL.Path)
	})
	log.Fatal(http.ListenAndServeTLS("127.0.0.1:"+port, certificate, key, handler))
}

func ask(client *http.Client, url string) {
	response, err := client.Get(url)
	if err != nil {
		log.Fatal("Error ", err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
}

// Asks for all paths, as many at a time as there are connections.
func askAll(client *http.Client, urls []string) {
	var group sync.WaitGroup
	next := make(chan string)
	for range [connections]struct{}{} {
		group.Add(1)
		go func() {
			defer group.Done()
			for url := range next {
				ask(client, url)
			}
		}()
	}
	for _, url := range urls {
		next <- url
	}
	close(next)
	group.Wait()
}

func call(port, when string, http2 bool) {
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		MaxConnsPerHost:     connections,
		MaxIdleConnsPerHost: connections,
		ForceAttemptHTTP2:   http2,
	}
	client := &http.Client{Transport: transport}
	base := "https://127.0.0.1:" + port
	var urls []string
	for index := 0; index < requests; index++ {
		urls = append(urls, fmt.Sprintf("%s/go/%d", base, index))
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	if when == "early" {
		early := make([]string, connections)
		for index := range early {
			early[index] = base + "/early"
		}
		askAll(client, early)
	}
	fmt.Println("waiting")
	<-told
	askAll(client, urls)
	fmt.Println("done")
	select {}
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3], os.Args[4])
	}
	call(os.Args[2], os.Args[3], len(os.Args) > 4)
}
