#!/usr/bin/env bash
# Sluice by curl: sends a message and waits for its status, or verifies a webhook.
#   SLUICE_URL=… SLUICE_KEY=… ./sluice.sh send +989121234567 "Hello"
#   WEBHOOK_SECRET=… WEBHOOK_ID=… WEBHOOK_TIMESTAMP=… WEBHOOK_SIGNATURE=… ./sluice.sh verify <body
# Needs curl, jq and openssl.
set -euo pipefail

# request METHOD PATH [BODY]: prints the answer, or fails with the problem on stderr. curl tries again after
# 429 and 503, as late as Retry-After says, after a time-out, and where nobody listens; a connection that ended
# before the answer did (18, 52, 55, 56) is left to this loop. The Idempotency-Key makes all tries one.
request() {
  local method=$1 path=$2 body=${3:-} answer key failed wait
  answer=$(mktemp)
  key=$(cat /proc/sys/kernel/random/uuid)
  for wait in 1 2 4 8 0; do
    failed=0
    curl --silent --show-error --fail-with-body --max-time 30 --retry 4 --retry-connrefused \
      --request "$method" "$SLUICE_URL$path" --header "X-API-Key: $SLUICE_KEY" --header "Idempotency-Key: $key" \
      ${body:+--header "Content-Type: application/json" --data "$body"} --output "$answer" || failed=$?
    [[ $failed =~ ^(18|52|55|56)$ ]] || break
    sleep $wait
  done
  if ((failed)); then
    cat "$answer" >&2 && rm -f "$answer" && exit 1
  fi
  cat "$answer" && rm -f "$answer"
}

send() {
  local message id status=queued
  message=$(jq -n --arg phone "$1" --arg text "$2" '{$phone, $text, type: "normal"}')
  id=$(request POST /v1/sms/send "$message" | jq -r .id)
  for _ in {1..60}; do
    status=$(request GET "/v1/messages/$id" | jq -r .status)
    [[ $status == queued || $status == sending ]] || break
    sleep 0.5
  done
  echo "$id $status"
}

# Standard Webhooks: HMAC-SHA-256 of id.timestamp.body under the bytes behind whsec_, in base64. A shell can't
# compare in constant time: use this at the command line, not in a server.
verify() {
  local body now key expected given
  body=$(mktemp) && trap 'rm -f "$body"' EXIT && cat >"$body"
  now=$(date +%s)
  if ((now - WEBHOOK_TIMESTAMP > 300 || WEBHOOK_TIMESTAMP - now > 300)); then
    echo "refused: too old" >&2 && exit 1
  fi
  key=$(printf %s "${WEBHOOK_SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
  expected=v1,$({ printf '%s.%s.' "$WEBHOOK_ID" "$WEBHOOK_TIMESTAMP" && cat "$body"; } |
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)
  for given in $WEBHOOK_SIGNATURE; do
    [[ $given == "$expected" ]] && jq -r '"\(.data.id) \(.data.status)"' "$body" && exit 0
  done
  echo "refused: no signature is by this secret" >&2 && exit 1
}

case ${1:-} in
  send) send "$2" "$3" ;;
  verify) verify ;;
  *) echo "usage: $0 send PHONE TEXT | verify" >&2 && exit 64 ;;
esac
