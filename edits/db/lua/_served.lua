--- @include _counters _wake _numbers
-- The data-loss check: a server that was restored, rolled back or failed over to may lack the last writes.
-- `served`, a zset: the servers of these data, each with its last epoch. Every claim to submit and every heartbeat
-- gets the next epoch and sends its earlier ones: an epoch beyond those stored here shows a loss.
-- Epochs only rise, from server to server, and are ms: nothing before the last one is missing.
-- `doubt`, a hash, exists from a change of server to the end of the check: shut (ms, when it was noticed), mark (ms: nothing
-- before it is missing), lost (1: writes are missing), expected (workers that must call), newest (the latest stored edit id), settled
-- (ms: purchases before it are found), holder, held (the process that searches, until when). `awaited`: live workers that have not
-- called since. `fresh:{tenant}`: its queued edits that may be bought meanwhile.

local SETTLES = 3000 -- ms: accepts that are repeated by their id are over, and every worker that lives has spoken once
local SERVERS = $SERVERS -- of so many a number is kept
local DOUBT = {'shut', 'mark', 'lost', 'expected', 'newest', 'settled', 'holder', 'held'}

-- run, n: the last server and its number; gave: the number of each; and the doubt, if there is one.
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

-- The latest id of all edits that may be bought, or bought again.
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

-- Before the first heartbeat on data of an older version, any queued edit may have been bought.
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

-- No queued edit is bought until the lost writes, if any, are known.
local function shut(s, run, last, lost)
  for _, process in ipairs(redis.call('ZRANGE', key('live'), 0, -1)) do redis.call('ZADD', key('awaited'), NOW, process) end
  local mark = s.mark or (s.run and math.min(last, NOW)) or oldest()
  doubted(s, {
    shut = NOW + math.max(0, RAW - SEEN - UNSEEN), -- the clock may be unread yet, and the copy may be old
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

-- Called by whoever may buy, and by every heartbeat, before all else. `told` is what this process was given since it was last told
-- that the data are whole, by which server, the last first: [[run, n], …]. Returns the state; `shut` in it: only what is surely
-- new may be bought.
local function serve(told)
  local run, s, missing = running(), served(), false
  local last = s.n
  for _, pair in ipairs(told) do
    if pair.n > (s.gave[pair.run] or -1) then
      missing = true
      gave(s, pair.run, pair.n) -- that is known now, and not to be noticed again
    end
  end
  if not s.run and not s.shut and redis.call('HGET', key('stats'), 'accepted') == false then
    for _, pair in ipairs(told) do give_number(s, pair.run) end -- it was emptied, and nothing of that is missed
    give_number(s, run)
  elseif s.run ~= run or (missing and not s.shut) then
    shut(s, run, last, missing or not s.run)
  elseif missing and s.lost == '0' then
    doubted(s, {lost = '1'})
  end
  if s.shut and not s.newest and NOW >= s.shut + SETTLES then doubted(s, {newest = newest()}) end
  return s
end

local function spoke(s, process, told)
  if not s.shut then return end
  if told[1] and told[1].run == s.run then redis.call('ZREM', key('awaited'), process) end
  local all = s.expected > 0 and redis.call('ZCARD', key('awaited')) == 0
  if all and s.lost == '0' and NOW >= s.shut + SETTLES then
    count('restored:whole')
    reopen(s)
  end
end
