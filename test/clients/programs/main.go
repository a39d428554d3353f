// Go's net/http by its default client: with a length, chunked, with a trailer, with Expect, and by HTTP/2.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{ExpectContinueTimeout: time.Second}}

func run(client *http.Client, url, name string, change func(*http.Request, []byte)) {
	statuses := []int{}
	for n := 1; n <= 3; n++ {
		reference := fmt.Sprintf("%s/go/%s/%d", os.Getenv("SLUICE_PREFIX"), name, n)
		body, _ := json.Marshal(map[string]string{
			"phone": "+989121234567", "text": "x", "type": "normal", "reference": reference,
		})
		request, _ := http.NewRequest("POST", url+"/v1/sms/send", bytes.NewReader(body))
		request.Header.Set("X-API-Key", os.Getenv("SLUICE_KEY"))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", reference)
		change(request, body)
		statuses = append(statuses, status(client.Do(request)))
	}
	line, _ := json.Marshal(map[string]any{"client": "go", "case": name, "statuses": statuses})
	fmt.Println(string(line))
}

// No answer counts as 0.
func status(answer *http.Response, err error) int {
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// A reader of unknown length is sent in chunks.
func chunked(request *http.Request, body []byte) {
	request.Body = io.NopCloser(bytes.NewReader(body))
	request.GetBody = nil
	request.ContentLength = -1
}

func main() {
	url := os.Getenv("SLUICE_URL")
	run(client, url, "plain", func(*http.Request, []byte) {})
	run(client, url, "chunked", chunked)
	run(client, url, "trailer", func(request *http.Request, body []byte) {
		chunked(request, body)
		request.Trailer = http.Header{"X-Sum": {"1"}}
	})
	run(client, url, "expect", func(request *http.Request, _ []byte) {
		request.Header.Set("Expect", "100-continue")
	})
	if tlsURL := os.Getenv("SLUICE_TLS_URL"); tlsURL != "" {
		pool := x509.NewCertPool()
		pem, _ := os.ReadFile(os.Getenv("SLUICE_CA"))
		pool.AppendCertsFromPEM(pem)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
		run(&http.Client{Timeout: 20 * time.Second, Transport: transport}, tlsURL, "tls-http2", func(*http.Request, []byte) {})
	}
}
