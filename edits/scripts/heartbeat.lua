#!lua flags=allow-oom
-- A worker process lives: its steps, the chains it runs, the ceilings it was given. A: process, steps, running [{step, slot,
-- number}], ttl, grace (ms), ceilings {name = value}, beat (1, 2, … of this process), counts {counter = n since the last beat},
-- leave (1: it goes), told? (see serve). Returns {start: the chains that nobody runs, to be started: [{step, slot, number}], run,
-- n, shut (1: the data may lack what was written last)}.
need('process', 'steps', 'running', 'ttl', 'grace', 'ceilings', 'beat', 'counts')
for _, chain in ipairs(A.running) do need_in(chain, 'step', 'slot', 'number') end
local state = serve(A.told or {})
spoke(state, A.process, A.told or {})
local function answer(start)
  local chains = #start > 0 and start or nil
  return cjson.encode({start = chains, run = state.run, n = state.n, shut = state.shut and 1 or 0})
end

local function lowest(name)
  local low
  for _, text in ipairs(redis.call('HVALS', key('wanted'))) do
    local value = cjson.decode(text)[name]
    if value and (not low or value < low) then low = value end
  end
  return low
end

local start = {}
for _, step in ipairs(A.steps) do
  if A.leave == 1 then
    redis.call('ZREM', key('live', step), A.process)
  else
    redis.call('ZADD', key('live', step), NOW + A.ttl, A.process)
  end
  redis.call('ZREMRANGEBYSCORE', key('live', step), '-inf', NOW)
end
if A.leave == 1 then redis.call('ZREM', key('live'), A.process) else redis.call('ZADD', key('live'), NOW + A.ttl, A.process) end
redis.call('ZREMRANGEBYSCORE', key('live'), '-inf', NOW)
-- Counts are added once, also when a beat whose reply was lost is repeated.
local before = redis.call('HGET', key('wanted'), A.process)
if A.beat > (before and cjson.decode(before).beat or 0) then
  for name, n in pairs(A.counts) do count(name, n) end
  give_number(state, state.run)
end
local wanted = {beat = A.beat}
for name, value in pairs(A.ceilings) do wanted[name] = value end
redis.call('HSET', key('wanted'), A.process, cjson.encode(wanted))
for _, process in ipairs(redis.call('HKEYS', key('wanted'))) do
  if not redis.call('ZSCORE', key('live'), process) then redis.call('HDEL', key('wanted'), process) end
end
for name, _ in pairs(A.ceilings) do
  local value = lowest(name)
  if value then redis.call('HSET', key('ceilings'), name, value) else redis.call('HDEL', key('ceilings'), name) end
end
for _, chain in ipairs(A.running) do
  if tonumber(redis.call('HGET', key('chain', chain.step), 'n' .. chain.slot) or -1) == chain.number then
    redis.call('HSET', key('chain', chain.step), 'a' .. chain.slot, NOW + A.grace)
  end
end
if A.leave == 1 then return answer({}) end
-- A process of an older release, which knows nothing of this number, may have changed the queues.
if redis.call('SET', key('counted'), '', 'NX', 'PX', 60000) then redis.call('SET', key('queued'), count_queues()) end
for _, step in ipairs(A.steps) do
  local chain = key('chain', step)
  for slot = 0, redis.call('ZCARD', key('live', step)) - 1 do
    local alive = tonumber(redis.call('HGET', chain, 'a' .. slot) or 0)
    if alive < NOW or alive > NOW + HORIZON then
      local number = tonumber(redis.call('HGET', chain, 'n' .. slot) or 0) + 1
      redis.call('HSET', chain, 'n' .. slot, number, 'a' .. slot, NOW + A.grace)
      start[#start + 1] = {step = step, slot = slot, number = number}
    end
  end
end
return answer(start)
