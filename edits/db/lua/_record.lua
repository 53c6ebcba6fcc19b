-- The prelude of every script: time, the record of an edit, and `advance`, the one way in which an edit changes.
-- KEYS[1] is the namespace, ARGV[1] a JSON object of named arguments (`A`). A script decodes and checks everything before
-- its first write, because a runtime error in Lua does not undo the writes before it. The map of keys is in repository.py.

local NS = KEYS[1]
local HORIZON = 3600 * 1000 -- ms; a score further away than any snooze means that the clock was set back: look now
local TIMELINE_BYTES = 16384 -- beyond, only what ends an edit is still written down
local LATE = 1000 -- ms; a look that comes so much later than it was due was held up by an outage, or by ourselves
local FORMAT = 1 -- of the records written here, as in records.py
local LEFT = 5000 -- ms until a record that cannot be read is looked at again: newer processes may be here that can
local FINAL = {succeeded = true, failed = true, canceled = true}
local NUMBERS = {'fm', 'at', 'fe', 'nu', 'cr', 'ws', 'la', 'qa', 'tb', 'rt', 'ar', 'cu', 'ex', 'ta', 'tr', 'li', 'sa', 'en', 'tu', 'nl', 'ou'}
local ALWAYS = {'st', 'pl', 'tn', 'pr', 'at', 'fe', 'nu', 'cr', 'la', 'qa', 'tb', 'cu', 'cs'}
local WAIT_BUCKETS = {50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 3600000} -- ms

local function key(a, b, c)
  if c then return NS .. ':' .. a .. ':' .. b .. ':' .. c end
  if b then return NS .. ':' .. a .. ':' .. b end
  return NS .. ':' .. a
end

-- Time goes on with the server's clock as far as somebody looked at it (tick.lua); what it did since counts for so much at most.
local UNSEEN = 5000 -- ms; the margin that is in every lease
local NOW, RAW, SEEN, STEPPED -- ms: the time of all edits; the server's clock, when it was looked at, what its jumps came to
do
  local server = redis.call('TIME')
  local kept = redis.call('MGET', key('clock'), key('tick'))
  local seen, stepped = string.match(kept[2] or '', '^(%d+) (%-?%d+)$')
  RAW = server[1] * 1000 + math.floor(server[2] / 1000)
  SEEN, STEPPED = tonumber(seen or RAW), tonumber(stepped or 0)
  NOW = math.min(math.max(RAW, SEEN), SEEN + UNSEEN) + STEPPED + tonumber(kept[1] or 0)
end

local function record(id)
  local flat = redis.call('HGETALL', key('e', id))
  if #flat == 0 then return nil end
  local e = {id = id, read = flat} -- `read`: as it was, for whoever claims it
  for i = 1, #flat, 2 do e[flat[i]] = flat[i + 1] end
  for i = 1, #NUMBERS do
    local field = NUMBERS[i]
    local text = e[field]
    if text then
      e[field] = tonumber(text) or error('the record of ' .. id .. ' holds no number in ' .. field, 0)
    end
  end
  if (e.fm or 1) > FORMAT then error('NEWER ' .. id .. ' has a record of format ' .. e.fm .. ', and this release knows ' .. FORMAT, 0) end
  for i = 1, #ALWAYS do
    if not e[ALWAYS[i]] then error('the record of ' .. id .. ' lacks ' .. ALWAYS[i], 0) end
  end
  -- Both raise here, before any write, if another program wrote under our names.
  e.told = redis.call('GET', key('t', id)) or '' -- its timeline so far
  e.long = redis.call('HLEN', key('x', id)) -- how many long texts
  return e
end

-- For claims of many: one that cannot be read holds up nobody else. Returns whether it can, and the record.
local function readable(id)
  return pcall(record, id)
end

local function observe(name, ms)
  local n = 1
  while WAIT_BUCKETS[n] and ms > WAIT_BUCKETS[n] do n = n + 1 end
  local bucket = WAIT_BUCKETS[n] or 'inf'
  redis.pcall('HINCRBY', key('stats'), name .. ':' .. bucket, 1)
  redis.pcall('HINCRBY', key('stats'), name .. ':sum', math.floor(ms))
end

-- No edit is stopped half-way for a counter that cannot be counted.
local function count(name, by)
  redis.pcall('HINCRBY', key('stats'), name, by or 1)
end

-- Members of a set that are due, at most `limit`; the clock may have been set back since their time was written.
local function due_in(set, limit)
  local found = redis.call('ZRANGEBYSCORE', set, '-inf', NOW, 'LIMIT', 0, limit)
  if #found < limit then
    for _, far in ipairs(redis.call('ZRANGEBYSCORE', set, NOW + HORIZON, '+inf', 'LIMIT', 0, limit - #found)) do
      found[#found + 1] = far
    end
  end
  return found
end

-- When chains of `step` look at it next, the first of them: [chain, ms, …]. `idle` says so of each, of one that works on, too.
local function looks(step, most)
  return redis.call('ZRANGEBYSCORE', key('idle', step), string.format('(%.0f', NOW), '+inf', 'WITHSCORES', 'LIMIT', 0, most)
end

-- Two chains look at a step in time: one by the due time, or a moment after it, and another soon after, should the first have
-- died. Where they do not, two who sleep are woken, each by the channel of its process; where nobody hears that, all are. A script
-- that changes many edits looks once: nobody lies down while it runs.
local MOMENT, SOON = 25, 500
local LOOKED_AT = {}
local function wake(step, due)
  if LOOKED_AT[step] and LOOKED_AT[step] <= due then return end
  local idle, rows = key('idle', step), looks(step, 6)
  local first, second = tonumber(rows[2] or 0), tonumber(rows[4] or 0)
  local heard = first - MOMENT <= due and 1 or 0
  LOOKED_AT[step] = math.max(first - MOMENT, second - SOON)
  if LOOKED_AT[step] <= due then return end
  for n = 1 + 2 * heard, #rows, 2 do
    if heard < 2 and redis.call('PUBLISH', key('wake', rows[n]), step) > 0 then
      redis.call('ZADD', idle, NOW + MOMENT, rows[n])
      heard = heard + 1
    elseif heard < 2 then
      redis.call('ZREM', idle, rows[n])
    end
  end
  if heard == 0 then
    redis.call('DEL', idle)
    redis.call('PUBLISH', key('wake'), step)
  end
  LOOKED_AT[step] = 0
end

-- Until when `chain` sleeps, which found nothing and sees nothing due before `next_at`. While another one works it comes soon after
-- it; and of those who sleep until the same time one comes then, the others one after the other.
local function in_turn(step, chain, next_at)
  local rows, until_then, soon = looks(step, 16), next_at, nil
  for n = 1, #rows, 2 do
    local at = tonumber(rows[n + 1])
    if rows[n] ~= chain then
      if at <= NOW + MOMENT then soon = NOW + SOON - MOMENT elseif at <= NOW + SOON then soon = nil end
      if at <= until_then then until_then = math.max(at, next_at) + SOON - 2 * MOMENT end
    end
  end
  return math.min(until_then, soon or until_then)
end

-- Appends an event at `at` (kept in order, never after now); the time since the last one goes to the wait that ends with it.
-- Whoever calls it writes `la` to the record, as `advance` does.
local function event(e, name, data, at)
  at = math.floor(math.max(e.la, math.min(at or NOW, NOW)))
  if #e.told < TIMELINE_BYTES or FINAL[name] then
    if e.wt then observe('wait:' .. e.wt, at - e.la) end
    e.told = e.told .. cjson.encode({name, at, e.wt or '', data or {}}) .. '\n'
    redis.call('SET', key('t', e.id), e.told) -- APPEND would keep as much room again for more
    e.la = at
  end
end

local function count_queues()
  local n = 0
  for _, tenant in ipairs(redis.call('ZRANGE', key('tenants'), 0, -1)) do n = n + redis.call('ZCARD', key('q', tenant)) end
  return n
end

-- How many edits wait in all queues: a number beside them, as counting them takes a step a tenant (heartbeat.lua does, now and then).
local function queued()
  return tonumber(redis.call('GET', key('queued')) or count_queues())
end

local IN_LINE, NEWEST = {}, nil -- what this script has looked up: tenants in line, and of the doubt (_served.lua)

-- In `enqueue`, `dequeue` and `move` the edit is put into its line last, and taken out of it last of all: where another program's
-- key stops them, it is still where its record says, and whoever finds it elsewhere too takes it out there.
local function line_up(tenant, edits)
  if not IN_LINE[tenant] and not redis.call('ZSCORE', key('tenants'), tenant) then
    redis.call('ZADD', key('tenants'), tonumber(redis.call('GET', key('vtime')) or 0), tenant)
  end
  IN_LINE[tenant] = true
  -- Data that may lack something: only what is surely new may be bought.
  if NEWEST == nil then NEWEST = redis.call('HGET', key('doubt'), 'newest') end
  local line = {}
  for n, e in ipairs(edits) do
    if e.ex then redis.call('ZADD', key('expiring'), e.ex, e.id) end
    if NEWEST and e.id > NEWEST and e.at == 1 then redis.call('ZADD', key('fresh', tenant), e.qa, e.id) end
    line[2 * n - 1], line[2 * n] = e.qa, e.id
  end
  redis.call('ZADD', key('q', tenant), unpack(line))
end

local function enqueue(e)
  wake('submit', NOW)
  redis.call('INCR', key('queued'))
  line_up(e.tn, {e})
end

-- Its tenant stays in line even without another edit, until it would be served next: whoever leaves keeps what he owes.
local function dequeue(e)
  redis.call('DECR', key('queued'))
  if e.ex then redis.call('ZREM', key('expiring'), e.id) end
  redis.call('ZREM', key('q', e.tn), e.id)
end

local IN_FLIGHT = {submit = true, adopt = true, poll = true}

-- A place at the provider is free again: who waits for one need not sleep on.
local function room_freed()
  if redis.call('HGET', key('gate'), 'why') == 'in_flight_cap' then wake('submit', NOW) end
end

-- Takes an edit out of the one place where it is and puts it into another: 'queue', a due-set with its time, or 'final'.
local function move(e, place, due)
  if IN_FLIGHT[e.pl] and not IN_FLIGHT[place] then room_freed() end
  if place == 'queue' then
    enqueue(e)
  elseif place == 'final' then
    redis.call('ZADD', key('retention'), NOW, e.id)
  else
    due = math.min(due, NOW + HORIZON - 1)
    redis.call('ZADD', key('due', place), due, e.id)
    wake(place, due)
  end
  if e.pl == place then return end
  if e.pl == 'queue' then dequeue(e) elseif e.pl and e.pl ~= 'final' then redis.call('ZREM', key('due', e.pl), e.id) end
  e.pl = place
end

-- change: status, place, due, wait (the name of what comes now), event, data, at, set {field = value}, drop {field, …}.
-- First the lines that all edits share: what is written after them is the edit's own, and cannot fail. Returns what was written
-- of the record, as a flat list.
local function advance(e, change)
  local fields = change.set or {}
  for name, value in pairs(fields) do e[name] = value end
  if change.place then
    move(e, change.place, change.due)
    fields.pl = change.place
  end
  if change.event then event(e, change.event, change.data, change.at) end
  fields.up, fields.fm = fields.up or NOW, FORMAT -- a record of an older format is one of ours from now on
  if change.status then fields.st = change.status end
  if FINAL[change.status] then fields.en, fields.up = e.la, e.la end
  if change.wait and change.wait ~= e.wt then
    fields.wt = change.wait
    fields.ws = math.max(e.la, math.min(change.at or NOW, NOW))
  end
  local flat, n = {'la', e.la}, 2
  for name, value in pairs(fields) do
    e[name] = value
    flat[n + 1], flat[n + 2], n = name, value, n + 2
  end
  redis.call('HSET', key('e', e.id), unpack(flat))
  if change.drop then redis.call('HDEL', key('e', e.id), unpack(change.drop)) end
  for _, name in ipairs(change.drop or {}) do e[name] = nil end
  return flat
end

-- The record as it is now, for whoever claims it: as it was read, and after that what was written, which counts.
local function with(e, written)
  local flat, n = e.read, #e.read
  for i = 1, #written do
    local value = written[i]
    flat[n + i] = type(value) == 'number' and string.format('%d', value) or value
  end
  return flat
end

-- The fence guards decisions: whoever decides with an old one changes nothing.
local function fenced(e)
  return e and e.fe == A.fence and not FINAL[e.st]
end

-- An answer of a claim, kept for a while: the client library repeats a call whose reply was lost, and must get the same one.
local function remember(answer)
  local text = cjson.encode(answer)
  if #answer.claims > 0 then redis.call('SET', key('claim', A.nonce), text, 'PX', 30000) end
  return text
end
