#!lua flags=allow-oom
--- @include _served
-- The heartbeat of a worker process. A: process, steps, ttl (ms), ceilings {name = value}, beat (1, 2, … of this process),
-- counts {counter = n since the last beat}, leave (1), told? (see serve). Returns {run, n, shut (1: data may be missing)}.
-- `live`, a zset: processes by the time (ms) at which they count as dead; `workers`, a hash: their steps and ceilings as
-- words; `ceilings`: the lowest of all live processes. Unchanged values are not written.
local COUNTED = 24 * 3600 * 1000 -- ms; longer than any outage of Redis that a process survives
local counted = tonumber(redis.call('GET', key('beat', A.process)) or 0)
local live, workers = redis.call('ZRANGE', key('live'), 0, -1, 'WITHSCORES'), redis.call('HGETALL', key('workers'))
local held = redis.call('HGETALL', key('ceilings'))
local state = serve(A.told or {})
spoke(state, A.process, A.told or {})

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
local alive, said = {[A.process] = A.leave ~= 1 and table.concat(words, ' ') or nil}, {}
for i = 1, #workers, 2 do said[workers[i]] = workers[i + 1] end
for i = 1, #live, 2 do
  if live[i] ~= A.process and tonumber(live[i + 1]) > NOW then
    alive[live[i]] = said[live[i]] or ''
  elseif live[i] ~= A.process then
    redis.call('ZREM', key('live'), live[i])
  end
end
if A.leave == 1 then
  redis.call('ZREM', key('live'), A.process)
else
  redis.call('ZADD', key('live'), NOW + A.ttl, A.process)
  if said[A.process] ~= alive[A.process] then redis.call('HSET', key('workers'), A.process, alive[A.process]) end
end
for process in pairs(said) do
  if not alive[process] then redis.call('HDEL', key('workers'), process) end
end

local lowest, before = {}, {}
for i = 1, #held, 2 do before[held[i]] = tonumber(held[i + 1]) end
for _, one in pairs(alive) do
  for name, value in string.gmatch(one, '(%S+)=(%S+)') do lowest[name] = math.min(lowest[name] or math.huge, tonumber(value)) end
end
for name, value in pairs(lowest) do
  if before[name] ~= value then redis.call('HSET', key('ceilings'), name, string.format('%.14g', value)) end
end
for name in pairs(before) do
  if not lowest[name] then redis.call('HDEL', key('ceilings'), name) end
end
return cjson.encode({run = state.run, n = state.n, shut = state.shut and 1 or 0})
