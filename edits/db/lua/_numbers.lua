--- @include _time
-- Numbers that each server of the data gave out: `served`, a zset of run ids. They only rise, from server to server, and are ms.

local function running()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
end

local function gave(s, run, n)
  s.gave[run], s.n = n, math.max(s.n, n)
  redis.call('ZADD', key('served'), string.format('%.0f', n), run)
end

-- Something is given out that must not be missing.
local function give_number(s, run)
  gave(s, run, math.max(s.n + 1, NOW))
  s.run = run
end

-- The first edit of all: from now on the data have a server.
local function serve_first()
  if redis.call('EXISTS', key('served')) == 0 then give_number({n = 0, gave = {}}, running()) end
end
