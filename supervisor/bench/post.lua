-- wrk's part of the benchmark: sends one body over and over, and prints what it saw as JSON.
-- Arguments: the file that holds the body, and the milliseconds that each connection waits before it sends.

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  file:close()
  if arguments[2] ~= "0" then
    local pause = tonumber(arguments[2])
    function delay() return pause end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  local percentiles = {}
  for _, percentile in ipairs({ 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9 }) do
    table.insert(percentiles, string.format("[%s, %.3f]", percentile, latency:percentile(percentile) / 1000))
  end
  print(string.format('{"requests": %d, "failed": %d, "seconds": %.6f, "percentiles_ms": [%s]}',
    summary.requests, failed, summary.duration / 1e6, table.concat(percentiles, ", ")))
end
