#!/usr/bin/env bash
# curl: each HTTP version, chunked uploads, Expect, and HTTP/2 in the three ways that a client can ask for it.
set -uo pipefail

# send CASE URL N FLAG…: N messages on one connection where curl keeps it.
send() {
  local name=$1 url=$2 n=$3 at args=()
  shift 3
  for ((at = 1; at <= n; at++)); do
    [ "$at" -gt 1 ] && args+=(--next)
    args+=("$@" --silent --output /dev/null --write-out '%{http_code}\n' --max-time 20
      -H "X-API-Key: $SLUICE_KEY" -H 'Content-Type: application/json'
      -H "Idempotency-Key: $SLUICE_PREFIX/curl/$name/$at"
      -d "{\"phone\":\"+989121234567\",\"text\":\"x\",\"type\":\"normal\",\"reference\":\"$SLUICE_PREFIX/curl/$name/$at\"}"
      "$url/v1/sms/send")
  done
  printf '{"client":"curl","case":"%s","statuses":[%s]}\n' "$name" \
    "$(curl "${args[@]}" | sed 's/^0*\(.\)/\1/' | paste -sd,)"
}

send http1.0 "$SLUICE_URL" 3 --http1.0
send http1.1 "$SLUICE_URL" 3 --http1.1
send chunked "$SLUICE_URL" 3 --http1.1 -H 'Transfer-Encoding: chunked'
send expect "$SLUICE_URL" 3 --http1.1 -H 'Expect: 100-continue'
send expect-upper "$SLUICE_URL" 3 --http1.1 -H 'Expect: 100-CONTINUE' --expect100-timeout 0.2
send http2-upgrade "$SLUICE_URL" 1 --http2
send http2-prior-knowledge "$SLUICE_URL" 1 --http2-prior-knowledge
if [ -n "$SLUICE_TLS_URL" ]; then
  send tls-http1.1 "$SLUICE_TLS_URL" 3 --http1.1 --cacert "$SLUICE_CA"
  send tls-http2 "$SLUICE_TLS_URL" 3 --http2 --cacert "$SLUICE_CA"
fi
