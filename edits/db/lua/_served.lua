--- @include _counters _wake _numbers
-- The data-loss check: a server that was restored, rolled back or failed over to may lack the last writes. Claims to
-- submit and heartbeats get the next epoch and send earlier ones; an epoch beyond those stored here shows a loss.
-- `doubt`, a hash, exists from a change of server to the end of the check: shut (ms, noticed at), mark (ms: nothing before
-- it is missing), lost (1: writes are missing), expected (workers that must call), newest (latest stored edit id), settled
-- (ms: purchases before it are found), holder, held (the searching process, until when). `awaited`: live workers that have
-- not called since. `fresh:{tenant}`: queued edits that may be bought meanwhile.

local SETTLES = 3000 -- ms until repeated accepts are over and every live worker has called
local SERVERS = $SERVERS -- servers whose epochs are stored
local DOUBT = {'shut', 'mark', 'lost', 'expected', 'newest', 'settled', 'holder', 'held'}

-- run, n: the last server and its epoch; gave: the epoch of each server; the fields of `doubt`, if it exists.
local function served()
  local s, rows = {gave = {}}, redis.call('ZREVRANGE', key('served'), 0, -1, 'WITHSCORES')
  for i = 1, #rows, 2 do s.gave[rows[i]] = tonumber(rows[i + 1]) end
  s.run, s.n = rows[1], tonumber(rows[2] or 0)
  for i, value in ipairs(redis.call('HMGET', key('doubt'), unpack(DOUBT))) do s[DOUBT[i]] = value or nil end
  for _, name in ipairs({'shut', 'mark', 'expected', 'settled', 'held'}) do s[name] = tonumber(s[name]) end
  return s
end

local function doubted(s, fields)
  local flat = {}
  for name, value in pairs(fields) do
    s[name] = value
    flat[#flat + 1] = name
    flat[#flat + 1] = type(value) == 'number' and string.format('%.0f', value) or value
  end
  redis.call('HSET', key('doubt'), unpack(flat))
end

-- The latest id of all edits that may be bought or bought again.
local function newest()
  local last = ''
  local function look(ids)
    for _, id in ipairs(ids) do last = id > last and id or last end
  end
  for _, tenant in ipairs(redis.call('ZRANGE', key('tenants'), 0, -1)) do
    look(redis.call('ZREVRANGE', key('index', tenant), 0, 0))
  end
  for step in pairs({submit = 1, adopt = 1, poll = 1, store = 1}) do look(redis.call('ZRANGE', key('due', step), 0, -1)) end
  return last
end

-- Before the first heartbeat on data of an older version any queued edit may have been bought.
local function oldest()
  local first = NOW
  for _, tenant in ipairs(redis.call('ZRANGE', key('tenants'), 0, -1)) do
    first = math.min(first, tonumber(redis.call('ZRANGE', key('q', tenant), 0, 0, 'WITHSCORES')[2] or NOW))
  end
  return first - HORIZON
end

local function nothing_is_fresh()
  for _, tenant in ipairs(redis.call('ZRANGE', key('tenants'), 0, -1)) do redis.call('DEL', key('fresh', tenant)) end
end

-- Starts a check: stored edits are not bought until lost writes, if any, are known.
local function shut(s, run, last, lost)
  for _, process in ipairs(redis.call('ZRANGE', key('live'), 0, -1)) do redis.call('ZADD', key('awaited'), NOW, process) end
  local mark = s.mark or (s.run and math.min(last, NOW)) or oldest()
  doubted(s, {
    shut = NOW + math.max(0, RAW - SEEN - UNSEEN), -- the clock may not be read yet, and the copy may be old
    mark = mark, settled = s.settled or mark, lost = (lost or s.lost == '1') and '1' or '0', expected = redis.call('ZCARD', key('awaited')),
  })
  redis.call('HDEL', key('doubt'), 'newest', 'holder', 'held')
  s.newest, s.holder, s.held = nil, nil, nil
  nothing_is_fresh()
  give_number(s, run)
  redis.call('ZREMRANGEBYRANK', key('served'), 0, -SERVERS - 1)
  for _, name in ipairs({'create', 'read'}) do redis.call('HSET', key('limit', name), 'tat', NOW + 1000) end
  count('restored')
end

local function reopen(s)
  redis.call('DEL', key('doubt'), key('awaited'))
  nothing_is_fresh()
  s.shut = nil
  wake('submit', NOW)
end

-- Called before all else by claims to submit and by heartbeats. `told`: epochs that the process got since the data were
-- last known to be whole, latest first: [[run, n], …]. Returns the state; with `shut` only surely new edits may be bought.
local function serve(told)
  local run, s, missing = running(), served(), false
  local last = s.n
  for _, pair in ipairs(told) do
    if pair.n > (s.gave[pair.run] or -1) then
      missing = true
      gave(s, pair.run, pair.n) -- noticed only once
    end
  end
  if not s.run and not s.shut and redis.call('HGET', key('stats'), 'accepted') == false then
    for _, pair in ipairs(told) do give_number(s, pair.run) end -- emptied on purpose: nothing is missing
    give_number(s, run)
  elseif s.run ~= run or (missing and not s.shut) then
    shut(s, run, last, missing or not s.run)
  elseif missing and s.lost == '0' then
    doubted(s, {lost = '1'})
  end
  if s.shut and not s.newest and NOW >= s.shut + SETTLES then doubted(s, {newest = newest()}) end
  return s
end
