#!/usr/bin/env bash
# Sluice by curl: sends a message and waits for its status, or verifies a webhook.
#   SLUICE_URL=… SLUICE_KEY=… ./sluice.sh send +989121234567 "Hello"
#   WEBHOOK_SECRET=… WEBHOOK_ID=… WEBHOOK_TIMESTAMP=… WEBHOOK_SIGNATURE=… ./sluice.sh verify <body
# Needs curl, jq and openssl.
set -euo pipefail

# request METHOD PATH [BODY]: prints the answer, or fails with the problem on stderr. It tries again after no
# answer, 429 and 503, and while an earlier try is still being processed; the Idempotency-Key makes all tries
# one. The refusal of a repeat says nothing of the tries before it.
request() {
  local method=$1 path=$2 body=${3:-} folder key wait status code asked in_doubt=
  folder=$(mktemp -d)
  key=$(cat /proc/sys/kernel/random/uuid)
  for wait in 1 2 4 8 0; do
    status=$(curl --silent --show-error --max-time 30 --request "$method" "$SLUICE_URL$path" \
      --header "X-API-Key: $SLUICE_KEY" --header "Idempotency-Key: $key" \
      ${body:+--header "Content-Type: application/json" --data "$body"} \
      --dump-header "$folder/headers" --output "$folder/answer" --write-out '%{http_code}') || status=0
    [[ $status != 2?? ]] || { cat "$folder/answer" && rm -r "$folder" && return; }
    # Without a whole answer, the files have a part of it, or the answer to the try before.
    ((status)) || { : >"$folder/headers" && : >"$folder/answer"; }
    code=$(jq -r '.code? // empty' "$folder/answer" 2>/dev/null) || code= # it is not the gateway's
    [[ $method == GET || ! $code =~ ^(outcome_unknown|internal|idempotency_in_progress)?$ ]] || in_doubt=yes
    [[ $wait != 0 && ($status =~ ^(0|429|503)$ || $code == idempotency_in_progress) ]] || break
    asked=$(sed -n 's/^retry-after: *\([0-9]*\).*/\1/Ip' "$folder/headers")
    sleep $((asked > wait ? asked : wait))
  done
  [[ -z $in_doubt ]] || echo "it may have taken effect: repeat it with Idempotency-Key $key" >&2
  cat "$folder/answer" >&2 && rm -r "$folder" && exit 1
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
