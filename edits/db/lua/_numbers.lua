--- @include _time
-- Epochs (ms) of the servers of these data: `served`, a zset by run id. They only rise, from server to server.

local function running()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
end

local function gave(s, run, n)
  s.gave[run], s.n = n, math.max(s.n, n)
  redis.call('ZADD', key('served'), string.format('%.0f', n), run)
end

-- The next epoch: later data without it are known to lack writes.
local function give_number(s, run)
  gave(s, run, math.max(s.n + 1, NOW))
  s.run = run
end

-- After the first edit the data have a server.
local function serve_first()
  if redis.call('EXISTS', key('served')) == 0 then give_number({n = 0, gave = {}}, running()) end
end
