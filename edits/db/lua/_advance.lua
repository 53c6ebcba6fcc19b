--- @include _record _counters _queue

local TIMELINE_BYTES = 16384 -- beyond that only final events are written

-- Appends an event at `at` (in order, never after now); ends the current wait. The caller writes `la` to the record.
local function event(e, name, data, at)
  at = math.floor(math.max(e.la, math.min(at or NOW, NOW)))
  e.told = e.told or redis.call('GET', key('t', e.id)) or ''
  if #e.told < TIMELINE_BYTES or FINAL[name] then
    if e.wt then observe('wait:' .. e.wt, at - e.la) end
    e.told = e.told .. cjson.encode({name, at, e.wt or '', data or {}}) .. '\n'
    redis.call('SET', key('t', e.id), e.told) -- APPEND would allocate twice the memory
    e.la = at
  end
end

local IN_FLIGHT = {submit = true, adopt = true, poll = true}

-- A place at the provider is free: wakes chains that wait for one.
local function room_freed()
  if redis.call('HGET', key('gate'), 'why') == 'in_flight_cap' then wake('submit', NOW) end
end

-- Moves an edit to another place: 'queue', a due-set with its time, or 'final'.
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

-- Makes a change of an edit: status, place, due, wait (from now on), event, data, at, set {field = value}, drop {field, …}.
-- Returns the written fields of the record as a flat list.
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
