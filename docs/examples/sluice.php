<?php
// Sluice by PHP without extensions: sends a message and waits for its status, or verifies a webhook.
//   SLUICE_URL=… SLUICE_KEY=… php sluice.php send +989121234567 "Hello"
//   WEBHOOK_SECRET=… WEBHOOK_ID=… WEBHOOK_TIMESTAMP=… WEBHOOK_SIGNATURE=… php sluice.php verify <body
// Needs PHP 8.

declare(strict_types=1);

const TRIES = 5;
const IN_DOUBT = [null, 'outcome_unknown', 'internal', 'idempotency_in_progress'];

/**
 * The answer. Tries again after no answer, 429 and 503, and while an earlier try is still being processed;
 * the Idempotency-Key makes all tries one. The refusal of a repeat says nothing of the tries before it.
 */
function request(string $method, string $path, ?array $body = null): array
{
    $key = bin2hex(random_bytes(16));
    $headers = ['X-API-Key: ' . getenv('SLUICE_KEY'), "Idempotency-Key: $key"];
    $http = ['method' => $method, 'ignore_errors' => true, 'timeout' => 30, 'follow_location' => 0];
    if ($body !== null) {
        $headers[] = 'Content-Type: application/json';
        $http['content'] = json_encode($body, JSON_THROW_ON_ERROR);
    }
    $context = stream_context_create(['http' => $http + ['header' => $headers]]);
    $inDoubt = false;
    for ($tried = 1; ; $tried++) {
        $http_response_header = [];
        $text = (string) @file_get_contents(getenv('SLUICE_URL') . $path, false, $context);
        $status = (int) (explode(' ', $http_response_header[0] ?? '')[1] ?? 0);
        // Of an answer that was cut PHP returns what came, which is no JSON.
        $answer = json_decode($text, true);
        if ($status >= 200 && $status < 300 && is_array($answer)) {
            return $answer;
        }
        $code = $answer['code'] ?? null; // null: it is not the gateway's
        if ($method !== 'GET' && in_array($code, IN_DOUBT, true)) {
            $inDoubt = true;
        }
        $again = $status < 300 || $status === 429 || $status === 503 || $code === 'idempotency_in_progress';
        if (!$again || $tried === TRIES) {
            $doubt = $inDoubt ? "it may have taken effect: repeat it with Idempotency-Key $key\n" : '';
            throw new RuntimeException($doubt . ($text === '' ? 'no answer' : $text));
        }
        $wait = 0.25 * 2 ** $tried;
        foreach ($http_response_header as $line) {
            if (preg_match('/^retry-after: *(\d+)$/i', $line, $found)) {
                $wait = max($wait, (int) $found[1]);
            }
        }
        usleep((int) ($wait * 1_000_000));
    }
}

function send(string $phone, string $text): void
{
    $message = request('POST', '/v1/sms/send', ['phone' => $phone, 'text' => $text, 'type' => 'normal']);
    for ($n = 0; $n < 60 && in_array($message['status'], ['queued', 'sending'], true); $n++) {
        usleep(500_000);
        $message = request('GET', '/v1/messages/' . $message['id']);
    }
    echo $message['id'], ' ', $message['status'], "\n";
}

/** Standard Webhooks: HMAC-SHA-256 of id.timestamp.body under the bytes behind whsec_, in base64. */
function verify(string $body, string $id, string $timestamp, string $signatures, string $secret): array
{
    if (abs(time() - (int) $timestamp) > 300) {
        throw new RuntimeException('refused: too old');
    }
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret), true);
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    foreach (explode(' ', $signatures) as $given) {
        if (hash_equals($expected, $given)) {
            return json_decode($body, true, 512, JSON_THROW_ON_ERROR);
        }
    }
    throw new RuntimeException('refused: no signature is by this secret');
}

try {
    if ($argc === 4 && $argv[1] === 'send') {
        send($argv[2], $argv[3]);
    } elseif ($argc === 2 && $argv[1] === 'verify') {
        $event = verify(
            file_get_contents('php://stdin'),
            (string) getenv('WEBHOOK_ID'),
            (string) getenv('WEBHOOK_TIMESTAMP'),
            (string) getenv('WEBHOOK_SIGNATURE'),
            (string) getenv('WEBHOOK_SECRET'),
        );
        echo $event['data']['id'], ' ', $event['data']['status'], "\n";
    } else {
        throw new RuntimeException('usage: sluice.php send PHONE TEXT | verify');
    }
} catch (RuntimeException $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
}
