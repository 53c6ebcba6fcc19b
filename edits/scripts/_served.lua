-- Whether the data are whole: a server that was restored, rolled back or failed over to may lack what was written last. The hash
-- `served`: run (the server that had them whole), n (raised by heartbeats and by claims to submit, whose answers carry it), at (ms,
-- when); was, upto (the server before, and n as it was found). Differs the server, or was a worker told a higher n: shut (ms), by
-- (the server now), mark (ms: nothing before it is missing), crew (workers that must speak), lost (1: a worker was told more than is
-- here), newest (no edit with a later id was here when it was noticed). `awaited`: workers that lived and have not spoken since.

local SETTLES = 3000 -- ms: accepts that are repeated by their id are over, and every worker that lives has spoken once
local SERVED = {'run', 'n', 'at', 'was', 'upto', 'shut', 'by', 'mark', 'crew', 'lost', 'newest', 'holder', 'held'}

local function served()
  local s = {}
  for i, value in ipairs(redis.call('HMGET', key('served'), unpack(SERVED))) do s[SERVED[i]] = value or nil end
  for _, name in ipairs({'n', 'at', 'upto', 'shut', 'mark', 'crew', 'held'}) do s[name] = tonumber(s[name]) end
  return s
end

local function keep(s, fields)
  local flat = {}
  for name, value in pairs(fields) do
    s[name] = value
    flat[#flat + 1] = name
    flat[#flat + 1] = type(value) == 'number' and string.format('%.0f', value) or value
  end
  redis.call('HSET', key('served'), unpack(flat))
end

local function running()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
end

-- The first edit of all: from now on the data have a server.
local function serve_first()
  if redis.call('EXISTS', key('served')) == 0 then keep({}, {run = running(), n = 0, at = NOW}) end
end

-- Something was given out that must not be missing.
local function raise_number(s)
  keep(s, {n = (s.n or 0) + 1, at = NOW})
end

-- The latest id of all that is here and may be bought, or bought again.
local function newest()
  local last = ''
  local function look(ids)
    for _, id in ipairs(ids) do
      if id > last then last = id end
    end
  end
  for _, tenant in ipairs(redis.call('ZRANGE', key('tenants'), 0, -1)) do
    look(redis.call('ZREVRANGE', key('index', tenant), 0, 0))
  end
  for step in pairs({submit = 1, adopt = 1, poll = 1, store = 1}) do look(redis.call('ZRANGE', key('due', step), 0, -1)) end
  return last
end

-- Before the first heartbeat that data of an older version ever saw, whatever was queued may have been bought.
local function oldest()
  local first = NOW
  for _, tenant in ipairs(redis.call('ZRANGE', key('tenants'), 0, -1)) do
    first = math.min(first, tonumber(redis.call('ZRANGE', key('q', tenant), 0, 0, 'WITHSCORES')[2] or NOW))
  end
  return first - HORIZON
end

-- Nothing that was queued is bought until it is known that nothing is missing, or what is.
local function shut(s, run, lost)
  for _, process in ipairs(redis.call('ZRANGE', key('live'), 0, -1)) do redis.call('ZADD', key('awaited'), NOW, process) end
  lost = lost or s.shut -- a second time before the first was settled
  local at = NOW + math.max(0, RAW - SEEN - UNSEEN) -- nobody may have looked at the clock yet, and the copy may be old
  keep(s, {
    shut = at, by = run, mark = s.mark or (s.at and math.min(s.at, NOW)) or oldest(), upto = s.n or 0, lost = lost and '1' or '0',
    crew = redis.call('ZCARD', key('awaited')),
  })
  redis.call('HDEL', key('served'), 'newest', 'holder', 'held')
  s.newest, s.holder, s.held = nil, nil, nil
  for _, name in ipairs({'create', 'read'}) do redis.call('HSET', key('limit', name), 'tat', NOW + 1000) end
  count('restored')
end

local function reopen(s)
  redis.call('HDEL', key('served'), 'shut', 'by', 'mark', 'crew', 'lost', 'newest', 'holder', 'held')
  redis.call('DEL', key('awaited'))
  keep(s, {was = s.run ~= s.by and s.run or '', run = s.by, n = s.n or 0, at = NOW})
  s.shut = nil
  wake('submit', NOW)
end

-- Called by whoever may buy, and by every heartbeat, before all else. `told` is what this process was told last, and last by the
-- server before: [[run, n], …]. Returns the state; `shut` in it: only what is surely new may be bought.
local function serve(told)
  for _, pair in ipairs(told) do need_in(pair, 'run', 'n') end
  local run, s = running(), served()
  local now = told[1] or {}
  if not s.run and not s.shut and redis.call('HGET', key('stats'), 'accepted') == false then
    keep(s, {run = run, n = tonumber(now.n or 0), at = NOW})
  elseif (s.by or s.run) ~= run then
    shut(s, run, not s.run)
  elseif not s.shut and now.run and ((now.run == run and now.n > s.n) or (now.run == s.was and now.n > s.upto)) then
    shut(s, run, true)
  end
  if s.shut then
    for _, pair in ipairs(told) do
      if (pair.run == s.run and pair.n > s.upto) or (pair.run == s.by and pair.n > s.n) then keep(s, {lost = '1'}) end
    end
    if not s.newest and NOW >= s.shut + SETTLES then keep(s, {newest = newest()}) end
  end
  return s
end

local function spoke(s, process, told)
  if not s.shut then return end
  if told[1] and told[1].run == s.by then redis.call('ZREM', key('awaited'), process) end
  local all = s.crew > 0 and redis.call('ZCARD', key('awaited')) == 0
  if all and s.lost == '0' and NOW >= s.shut + SETTLES then
    count('restored:whole')
    reopen(s)
  end
end

-- May it be bought while the data may lack what was written last? Only what was accepted after that was noticed.
local function surely_new(s, id)
  return s.newest and id > s.newest and redis.call('HGET', key('e', id), 'at') == '1'
end
