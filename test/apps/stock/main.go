// SPDX-License-Identifier: Apache-2.0

// An ordinary Go service, the end of a chain: net/http and nothing else.
//
//	stock --listen 127.0.0.1:0 [--name stock]
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	name := flag.String("name", "stock", "name in the answers")
	flag.Parse()
	log.Fatal(http.ListenAndServe(*listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, r, map[string]any{"service": *name, "path": r.URL.RequestURI(), "received": received})
	})))
}

func answer(w http.ResponseWriter, r *http.Request, body map[string]any) {
	verb := strings.SplitN(r.URL.Path+"/", "/", 3)[1]
	status := http.StatusOK
	switch verb {
	case "fail":
		status = http.StatusInternalServerError
	case "empty":
		w.WriteHeader(http.StatusNoContent)
		return
	case "unchanged":
		w.WriteHeader(http.StatusNotModified)
		return
	case "slow":
		ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
		if err != nil {
			ms = 100
		}
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	text, err := json.Marshal(body)
	if err != nil {
		log.Fatal(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(text); err != nil {
		return
	}
	if verb == "chunked" { // a flush before the end leaves the length open
		w.(http.Flusher).Flush()
	}
	_, _ = io.WriteString(w, "\n")
}
