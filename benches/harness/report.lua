-- Arguments after `--` make `wrk` send a POST, or pause before each request.
-- The figures are printed as one line for a program; times are in microseconds.

function init(args)
  if args[1] == "POST" then
    wrk.method = "POST"
    wrk.body = string.rep("x", tonumber(args[2]))
  elseif args[1] == "PAUSE" then
    -- `wrk` calls this before each request, and waits for the returned number
    -- of milliseconds. The pauses vary so that the connections do not send at
    -- the same time.
    local mean = tonumber(args[2])
    delay = function() return math.random(1, 2 * mean - 1) end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("figures %d %d %d %d %d %d %d %d %d %d\n",
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
