--- @include _time
-- Who works here. `crew`, a hash, has of each living worker process what it said last: steps, ceilings, runs (the chains it runs,
-- "step slot" each), and n, how many lived then. What follows from all of it is written where that changed: `on` of chain:{step}, how
-- many live for the step, and `ceilings`, the lowest of all that live.
-- A process of an older release is in `live` and not in the crew. While one lives (older: 1), the keys that it reads are kept for it
-- too: live:{step}, wanted, and the time of each chain, which a chain else needs only while nobody says that he runs it.

local function crew_told()
  local found, flat = {}, redis.call('HGETALL', key('crew'))
  for i = 1, #flat, 2 do found[flat[i]] = cjson.decode(flat[i + 1]) end
  return found
end

-- As texts, so that one look tells whether they changed.
local function told_of(ceilings)
  local parts = {}
  for name, value in pairs(ceilings) do parts[#parts + 1] = string.format('%s=%.14g', name, value) end
  table.sort(parts)
  return table.concat(parts, ' ')
end

local function runs_in(text)
  local runs = {}
  for name in string.gmatch(text or '', '[^,]+') do runs[name] = true end
  return runs
end

local function unlike(one, other)
  return one.steps ~= other.steps or one.ceilings ~= other.ceilings or one.n ~= other.n or one.older ~= other.older
end

-- Of an older release: what it reads of this process (nil: it goes), and what it said itself.
local function beside_older(all, mine)
  for _, step in ipairs(A.steps) do
    if mine then redis.call('ZADD', key('live', step), NOW + A.ttl, A.process) else redis.call('ZREM', key('live', step), A.process) end
    all.on[step] = redis.call('ZCOUNT', key('live', step), string.format('(%.0f', NOW), '+inf')
  end
  if not mine then return redis.call('HDEL', key('wanted'), A.process) end
  redis.call('HSET', key('wanted'), A.process, cjson.encode(A.ceilings))
  local flat = redis.call('HGETALL', key('wanted'))
  for i = 1, #flat, 2 do
    if all.each[flat[i]] == false then all.each[flat[i]] = {steps = '', runs = '', ceilings = told_of(cjson.decode(flat[i + 1]))} end
  end
  for name in pairs(runs_in(mine.runs)) do
    local step, slot = string.match(name, '^(%S+) (%d+)$')
    redis.call('HSET', key('chain', step), 'a' .. slot, NOW + A.grace)
  end
end

-- What all say that live, `told` by each before and by this process now (`mine`, nil: it goes); who is dead is forgotten. Returns
-- on {step = how many live for it}, runs {chain = true}, each {process = what it said}.
local function muster(told, mine)
  local all, dead, expired = {n = 0, on = {}, runs = {}, each = {}, older = nil}, {}, false
  local before, live = told[A.process] or {}, redis.call('ZRANGE', key('live'), 0, -1, 'WITHSCORES')
  told[A.process] = mine
  for i = 1, #live, 2 do
    if tonumber(live[i + 1]) <= NOW then
      expired = true
    else
      all.n, all.each[live[i]] = all.n + 1, told[live[i]] or false
      if not told[live[i]] then all.older = 1 end
    end
  end
  if expired then redis.call('ZREMRANGEBYSCORE', key('live'), '-inf', NOW) end
  for _, step in ipairs(A.steps) do all.on[step] = 0 end
  for process, one in pairs(told) do
    if not all.each[process] then dead[#dead + 1] = process end
    for step in string.gmatch(one.steps, '%S+') do all.on[step] = (all.on[step] or 0) + (all.each[process] and 1 or 0) end
    for name in pairs(all.each[process] and runs_in(one.runs) or {}) do all.runs[name] = true end
  end
  if not mine then dead[#dead + 1] = A.process end
  if #dead > 0 then redis.call('HDEL', key('crew'), unpack(dead)) end
  if all.older then
    beside_older(all, mine)
  elseif before.older then
    for _, step in ipairs(A.steps) do redis.call('DEL', key('live', step)) end
    redis.call('DEL', key('wanted'))
  end
  if mine then
    mine.n, mine.older = all.n, all.older
    if unlike(before, mine) or before.runs ~= mine.runs then redis.call('HSET', key('crew'), A.process, cjson.encode(mine)) end
  end
  all.changed = not mine or all.older or #dead > 0 or unlike(before, mine)
  return all
end

local function agree(all)
  for step, n in pairs(all.on) do redis.call('HSET', key('chain', step), 'on', n) end
  local lowest = {}
  for _, one in pairs(all.each) do
    for name, text in string.gmatch(one and one.ceilings or '', '(%S+)=(%S+)') do lowest[name] = math.min(lowest[name] or math.huge, tonumber(text)) end
  end
  for name in pairs(A.ceilings) do
    if lowest[name] then redis.call('HSET', key('ceilings'), name, lowest[name]) else redis.call('HDEL', key('ceilings'), name) end
  end
end
