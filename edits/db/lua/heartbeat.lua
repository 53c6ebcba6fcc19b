#!lua flags=allow-oom
--- @include _served _crew
-- A worker process lives: its steps, the chains it runs, the ceilings it was given. A: process, steps, running [{step, slot,
-- number}], ttl, grace (ms), ceilings {name = value}, beat (1, 2, … of this process), counts {counter = n since the last beat},
-- leave (1: it goes), told? (see serve). Returns {start: the chains that nobody runs, to be started: [{step, slot, number}], run,
-- n, shut (1: the data may lack what was written last)}.
-- Nothing is written again that all know (_crew.lua). A chain that nobody says he runs still counts until the time of its slot, `a`: a
-- grace from its start, from its last link and from the beat that missed it.
local COUNTED = 24 * 3600 * 1000 -- ms; Redis is not out of reach of a living process for longer
local told = crew_told()
local ran = runs_in(told[A.process] and told[A.process].runs)
local counted = tonumber(redis.call('GET', key('beat', A.process)) or 0)
local state = serve(A.told or {})
spoke(state, A.process, A.told or {})
if A.leave == 1 then redis.call('ZREM', key('live'), A.process) else redis.call('ZADD', key('live'), NOW + A.ttl, A.process) end

-- Counts are added once, also when a beat whose reply was lost is repeated, however much later.
local behind = NOW < state.n -- the clock was set back: numbers go on one by one, and a beat that is repeated is given none anew
if A.beat > counted and (behind or next(A.counts)) then
  for name, n in pairs(A.counts) do count(name, n) end
  redis.call('SET', key('beat', A.process), A.beat, 'PX', COUNTED)
end
if NOW > state.n or behind and A.beat > counted then give_number(state, state.run) end

-- Of a chain that it did not run before only the last link counts: one that was overtaken keeps nothing alive.
local runs, names = {}, {}
for _, chain in ipairs(A.running) do
  local name = chain.step .. ' ' .. chain.slot
  local last = ran[name] or tonumber(redis.call('HGET', key('chain', chain.step), 'n' .. chain.slot) or -1) == chain.number
  if last and not runs[name] then runs[name], names[#names + 1] = true, name end
end
for name in pairs(ran) do
  local step, slot = string.match(name, '^(%S+) (%d+)$')
  if not runs[name] then redis.call('HSET', key('chain', step), 'a' .. slot, NOW + A.grace) end
end
table.sort(names)
local mine = {steps = table.concat(A.steps, ' '), ceilings = told_of(A.ceilings), runs = table.concat(names, ',')}
local all = muster(told, A.leave ~= 1 and mine or nil)
if all.changed then agree(all) end

local start = {}
local function start_missing(step, slot)
  if all.runs[step .. ' ' .. slot] then return end
  local chain = redis.call('HMGET', key('chain', step), 'n' .. slot, 'a' .. slot)
  local until_then = tonumber(chain[2] or 0)
  if until_then < NOW or until_then > NOW + HORIZON then
    local number = tonumber(chain[1] or 0) + 1
    redis.call('HSET', key('chain', step), 'n' .. slot, number, 'a' .. slot, NOW + A.grace)
    start[#start + 1] = {step = step, slot = slot, number = number}
  end
end
for _, step in ipairs(A.leave == 1 and {} or A.steps) do
  for slot = 0, all.on[step] - 1 do start_missing(step, slot) end
end
return cjson.encode({start = #start > 0 and start or nil, run = state.run, n = state.n, shut = state.shut and 1 or 0})
