-- POST /v1/sms/send with a key drawn in turn from the file named in SLUICE_BENCH_KEYS; every request is built once, beforehand.
local requests = {}
local at = 0
local thread_count = 0

function setup(thread)
  thread:set("offset", thread_count)
  thread_count = thread_count + 1
end

function init(args)
  for key in io.lines(os.getenv("SLUICE_BENCH_KEYS")) do
    local n = #requests
    local body = string.format(
      '{"phone":"+98912%07d","text":"Your order %d is on its way and will arrive today.","type":"normal"}', 1000000 + n, n)
    requests[n + 1] = wrk.format("POST", "/v1/sms/send",
      { ["X-API-Key"] = key, ["Content-Type"] = "application/json" }, body)
  end
  at = offset * 499
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  io.write(string.format('RESULT {"requests":%d,"micros":%d,"refused":%d,"socket_errors":%d,"p50_ms":%.2f,"p99_ms":%.2f}\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
