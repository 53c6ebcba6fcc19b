#!lua flags=allow-oom
-- A worker process lives: its steps, the chains it runs, the ceilings it was given. A: process, steps, running [{step, slot,
-- number}], ttl, grace (ms), ceilings {name = value}, beat (1, 2, … of this process), counts {counter = n since the last beat},
-- leave (1: it goes), told? (see serve). Returns {start: the chains that nobody runs, to be started: [{step, slot, number}], run,
-- n, shut (1: the data may lack what was written last)}.
need('process', 'steps', 'running', 'ttl', 'grace', 'ceilings', 'beat', 'counts')
for _, chain in ipairs(A.running) do need_in(chain, 'step', 'slot', 'number') end
local COUNTED = 24 * 3600 * 1000 -- ms; Redis is not out of reach of a living process for longer
local before = tonumber(redis.call('GET', key('beat', A.process)) or 0)
local state = serve(A.told or {})
spoke(state, A.process, A.told or {})
local function answer(start)
  local chains = #start > 0 and start or nil
  return cjson.encode({start = chains, run = state.run, n = state.n, shut = state.shut and 1 or 0})
end

local function hash(name)
  local found, flat = {}, redis.call('HGETALL', name)
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

-- The minute is over: what others left is tidied, and counted anew. (A process of an older release, which knows nothing of
-- the number of those queued, may have changed the queues.)
local minute = A.leave ~= 1 and redis.call('SET', key('counted'), '', 'NX', 'PX', 60000)
local function lives(set)
  if A.leave == 1 then redis.call('ZREM', set, A.process) else redis.call('ZADD', set, NOW + A.ttl, A.process) end
end
lives(key('live'))
redis.call('ZREMRANGEBYSCORE', key('live'), '-inf', NOW)
for _, step in ipairs(A.steps) do
  lives(key('live', step))
  if minute then redis.call('ZREMRANGEBYSCORE', key('live', step), '-inf', NOW) end
end

-- Counts are added once, also when a beat whose reply was lost is repeated, however much later.
local wanted, dead = hash(key('wanted')), {}
if A.beat > before then
  for name, n in pairs(A.counts) do count(name, n) end
  give_number(state, state.run)
  redis.call('SET', key('beat', A.process), A.beat, 'PX', COUNTED)
end
local alive, lowest = {}, {}
wanted[A.process] = cjson.encode(A.ceilings)
redis.call('HSET', key('wanted'), A.process, wanted[A.process])
for _, process in ipairs(redis.call('ZRANGE', key('live'), 0, -1)) do alive[process] = true end
for process, text in pairs(wanted) do
  if alive[process] then
    local theirs = cjson.decode(text)
    for name, _ in pairs(A.ceilings) do
      if theirs[name] and (not lowest[name] or theirs[name] < lowest[name]) then lowest[name] = theirs[name] end
    end
  else
    dead[#dead + 1] = process
  end
end
if #dead > 0 then redis.call('HDEL', key('wanted'), unpack(dead)) end
local ceilings = {}
for name, _ in pairs(A.ceilings) do
  if lowest[name] then
    ceilings[#ceilings + 1], ceilings[#ceilings + 2] = name, lowest[name]
  else
    redis.call('HDEL', key('ceilings'), name)
  end
end
if #ceilings > 0 then redis.call('HSET', key('ceilings'), unpack(ceilings)) end

-- Each step's slots are read at once and written at once.
local chains, start = {}, {}
local function chain(step)
  chains[step] = chains[step] or {is = hash(key('chain', step)), set = {}}
  return chains[step]
end
local function put(c, field, value)
  c.is[field] = value
  c.set[#c.set + 1], c.set[#c.set + 2] = field, value
end
for _, runs in ipairs(A.running) do
  local c = chain(runs.step)
  if tonumber(c.is['n' .. runs.slot] or -1) == runs.number then put(c, 'a' .. runs.slot, NOW + A.grace) end
end
for _, step in ipairs(A.leave == 1 and {} or A.steps) do
  local c = chain(step)
  for slot = 0, redis.call('ZCOUNT', key('live', step), string.format('(%.0f', NOW), '+inf') - 1 do
    local until_then = tonumber(c.is['a' .. slot] or 0)
    if until_then < NOW or until_then > NOW + HORIZON then
      local number = tonumber(c.is['n' .. slot] or 0) + 1
      put(c, 'n' .. slot, number)
      put(c, 'a' .. slot, NOW + A.grace)
      start[#start + 1] = {step = step, slot = slot, number = number}
    end
  end
end
for step, c in pairs(chains) do
  if #c.set > 0 then redis.call('HSET', key('chain', step), unpack(c.set)) end
end
if minute then redis.call('SET', key('queued'), count_queues()) end
return answer(start)
