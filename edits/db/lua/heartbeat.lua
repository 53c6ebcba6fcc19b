#!lua flags=allow-oom
--- @include _served
-- The heartbeat of a worker process. A: process, steps, ttl (ms), ceilings {name = value}, beat (1, 2, … of this process),
-- counts {counter = n since the last beat}, leave (1), told (see serve). Returns {run, n, shut (1: data may be missing)}.
-- `live`, a zset: processes by the time (ms) at which they count as dead; `workers`, a hash: their steps and ceilings as
-- words; `ceilings`: the lowest of all live processes. Unchanged values are not written.
local COUNTED = 24 * 3600 * 1000 -- ms; longer than any outage of Redis that a process survives
local counted = tonumber(redis.call('GET', key('beat', A.process)) or 0)
local state = serve(A.told)
if state.shut then
  if A.told[1] and A.told[1].run == state.run then redis.call('ZREM', key('awaited'), A.process) end
  local all = state.expected > 0 and redis.call('ZCARD', key('awaited')) == 0
  if all and state.lost == '0' and NOW >= state.shut + SETTLES then
    count('restored:whole')
    reopen(state)
  end
end

-- Counts are added once, also if a beat is repeated after a lost reply.
local behind = NOW < state.n -- the clock was set back: epochs rise by one, and a repeated beat gets no other
if A.beat > counted and (behind or next(A.counts)) then
  for name, n in pairs(A.counts) do count(name, n) end
  redis.call('SET', key('beat', A.process), A.beat, 'PX', COUNTED)
end
if NOW > state.n or behind and A.beat > counted then give_number(state, state.run) end

local words = A.steps
for name, value in pairs(A.ceilings) do words[#words + 1] = string.format('%s=%.14g', name, value) end
table.sort(words)
local said = table.concat(words, ' ')
redis.call('ZREMRANGEBYSCORE', key('live'), '-inf', NOW)
if A.leave == 1 then
  redis.call('ZREM', key('live'), A.process)
else
  redis.call('ZADD', key('live'), NOW + A.ttl, A.process)
end
local live, workers, lowest = {}, redis.call('HGETALL', key('workers')), {}
for _, process in ipairs(redis.call('ZRANGE', key('live'), 0, -1)) do live[process] = '' end
for i = 1, #workers, 2 do
  if live[workers[i]] then live[workers[i]] = workers[i + 1] else redis.call('HDEL', key('workers'), workers[i]) end
end
if live[A.process] and live[A.process] ~= said then
  redis.call('HSET', key('workers'), A.process, said)
  live[A.process] = said
end
for _, one in pairs(live) do
  for name, value in string.gmatch(one, '(%S+)=(%S+)') do lowest[name] = math.min(lowest[name] or math.huge, tonumber(value)) end
end
local held = redis.call('HGETALL', key('ceilings'))
for i = 1, #held, 2 do
  local name = held[i]
  if not lowest[name] then redis.call('HDEL', key('ceilings'), name) end
  if lowest[name] == tonumber(held[i + 1]) then lowest[name] = nil end
end
for name, value in pairs(lowest) do redis.call('HSET', key('ceilings'), name, string.format('%.14g', value)) end
return cjson.encode({run = state.run, n = state.n, shut = state.shut and 1 or 0})
