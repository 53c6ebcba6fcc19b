--- @include _advance
-- How an edit ends, and how long its idempotency key lives with it.

local IDEMPOTENCY_LIFE = 24 * 3600 * 1000 -- ms

-- The idempotency key of an edit, or nil where it has none, or where the key stands for another edit by now.
local function idempotency_of(e)
  local name = redis.call('HGET', key('x', e.id), 'idem')
  if not name then return nil end
  local kept = redis.call('GET', key('idem', e.tn, name))
  if kept and cjson.decode(kept).id == e.id then return key('idem', e.tn, name) end
end

-- An idempotency key lives for a day, and never less than its edit; a failed one may be asked for again, so it is remembered.
local function expire_idempotency(e)
  local kept = idempotency_of(e)
  if kept then redis.call('PEXPIRE', kept, math.floor(math.max(1000, e.cr + IDEMPOTENCY_LIFE - NOW))) end
  if e.st ~= 'failed' then redis.call('HDEL', key('x', e.id), 'idem') end
end

-- The edit goes on again, and its key with it, for as long as it does.
local function keep_idempotency(e)
  local kept = idempotency_of(e)
  if kept then redis.call('PERSIST', kept) else redis.call('HDEL', key('x', e.id), 'idem') end
end

-- Ends an edit for good (until somebody retries it): final status, retention, counters, and whoever waits for it is told.
local function finish(e, status, kind, change)
  change.status, change.event, change.place = status, status, 'final'
  change.set = change.set or {}
  if e.tb > 0 and change.set.cs == 'released' then change.set.cs = 'charged' end -- by an earlier attempt
  change.drop = {'li', 'wt', 'ws', 'hv', 'rt'}
  if status ~= 'succeeded' then redis.call('ZADD', key('due', 'manifest'), NOW, e.id) wake('sweep', NOW) end
  advance(e, change)
  count('ended:' .. status .. ':' .. (kind or ''))
  expire_idempotency(e)
  redis.call('PUBLISH', key('ended'), e.id)
end

-- A fact about an edit that has ended: its manifest is written again.
local function ended_otherwise(e, facts)
  if not FINAL[e.st] then return end
  facts.fe = e.fe + 1
  redis.call('ZADD', key('due', 'manifest'), NOW, e.id)
  wake('sweep', NOW)
end
