// Sluice by Go's standard library: sends a message and waits for its status, or verifies a webhook.
//
//	SLUICE_URL=… SLUICE_KEY=… go run sluice.go send +989121234567 "Hello"
//	WEBHOOK_SECRET=… WEBHOOK_ID=… WEBHOOK_TIMESTAMP=… WEBHOOK_SIGNATURE=… go run sluice.go verify <body
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const tries = 5

var client = &http.Client{Timeout: 30 * time.Second}

// request decodes the answer into it. It tries again after no answer, 429 and 503, and while an earlier try is
// still being processed; the Idempotency-Key makes all tries one. The refusal of a repeat says nothing of the
// tries before it.
func request(method, path string, body []byte, into any) error {
	key := make([]byte, 16)
	rand.Read(key)
	inDoubt := false
	for tried := 1; ; tried++ {
		call, err := http.NewRequest(method, os.Getenv("SLUICE_URL")+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		call.Header.Set("X-API-Key", os.Getenv("SLUICE_KEY"))
		call.Header.Set("Idempotency-Key", fmt.Sprintf("%x", key))
		if body != nil {
			call.Header.Set("Content-Type", "application/json")
		}
		status, text, asked, err := attempt(call)
		if err == nil && status < 300 {
			return json.Unmarshal(text, into)
		}
		var problem struct{ Code string }
		if err == nil {
			err = errors.New(string(text))
			json.Unmarshal(text, &problem) // no code: it is not the gateway's
		}
		switch problem.Code {
		case "", "outcome_unknown", "internal", "idempotency_in_progress":
			inDoubt = inDoubt || method != "GET"
		}
		again := status == 0 || status == 429 || status == 503 || problem.Code == "idempotency_in_progress"
		if !again || tried == tries {
			if inDoubt {
				return fmt.Errorf("it may have taken effect: repeat it with Idempotency-Key %x\n%w", key, err)
			}
			return err
		}
		wait := 250 * time.Millisecond << tried
		if asked > wait {
			wait = asked
		}
		time.Sleep(wait)
	}
}

// attempt returns the status, the text and the Retry-After of the answer; an error and status 0 if there was
// none, or not all of it.
func attempt(call *http.Request) (int, []byte, time.Duration, error) {
	answer, err := client.Do(call)
	if err != nil {
		return 0, nil, 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, nil, 0, err
	}
	seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
	return answer.StatusCode, text, time.Duration(seconds) * time.Second, nil
}

func send(phone, text string) error {
	body, err := json.Marshal(map[string]string{"phone": phone, "text": text, "type": "normal"})
	if err != nil {
		return err
	}
	var message struct{ Id, Status string }
	if err := request("POST", "/v1/sms/send", body, &message); err != nil {
		return err
	}
	for n := 0; n < 60 && (message.Status == "queued" || message.Status == "sending"); n++ {
		time.Sleep(500 * time.Millisecond)
		if err := request("GET", "/v1/messages/"+message.Id, nil, &message); err != nil {
			return err
		}
	}
	fmt.Println(message.Id, message.Status)
	return nil
}

// verify follows Standard Webhooks: HMAC-SHA-256 of id.timestamp.body under the bytes behind whsec_, in base64.
func verify(body []byte, id, timestamp, signatures, secret string) error {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return errors.New("refused: too old")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for _, given := range strings.Fields(signatures) {
		if hmac.Equal(expected, []byte(given)) {
			var event struct {
				Data struct{ Id, Status string }
			}
			if err := json.Unmarshal(body, &event); err != nil {
				return err
			}
			fmt.Println(event.Data.Id, event.Data.Status)
			return nil
		}
	}
	return errors.New("refused: no signature is by this secret")
}

func main() {
	err := errors.New("usage: sluice send PHONE TEXT | verify")
	switch {
	case len(os.Args) == 4 && os.Args[1] == "send":
		err = send(os.Args[2], os.Args[3])
	case len(os.Args) == 2 && os.Args[1] == "verify":
		var body []byte
		if body, err = io.ReadAll(os.Stdin); err == nil {
			env := os.Getenv
			err = verify(body, env("WEBHOOK_ID"), env("WEBHOOK_TIMESTAMP"), env("WEBHOOK_SIGNATURE"), env("WEBHOOK_SECRET"))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
