--- @include _advance
-- How an edit ends, and how long its idempotency key lives with it.

local IDEMPOTENCY_LIFE = 24 * 3600 * 1000 -- ms

-- The idempotency key of an edit; nil if it has none, or if the key belongs to another edit now.
local function idempotency_of(e)
  local name = redis.call('HGET', key('x', e.id), 'idem')
  if not name then return nil end
  local kept = redis.call('GET', key('idem', e.tn, name))
  if kept and cjson.decode(kept).id == e.id then return key('idem', e.tn, name) end
end

-- An idempotency key lives for a day and at least as long as its edit. Failed edits keep theirs: they can be retried.
local function expire_idempotency(e)
  local kept = idempotency_of(e)
  if kept then redis.call('PEXPIRE', kept, math.floor(math.max(1000, e.cr + IDEMPOTENCY_LIFE - NOW))) end
  if e.st ~= 'failed' then redis.call('HDEL', key('x', e.id), 'idem') end
end

-- The edit continues: neither its idempotency key nor its record may expire, and it has no manifest.
local function revive(e)
  local kept = idempotency_of(e)
  if kept then redis.call('PERSIST', kept) else redis.call('HDEL', key('x', e.id), 'idem') end
  redis.call('ZREM', key('retention'), e.id)
  redis.call('ZREM', key('due', 'manifest'), e.id)
end

-- Ends an edit (until a retry): final status, retention, counters, completion event.
local function finish(e, status, kind, change)
  change.status, change.event, change.place = status, status, 'final'
  change.set = change.set or {}
  if e.tb > 0 and change.set.cs == 'released' then change.set.cs = 'charged' end -- an earlier attempt was bought
  change.drop = {'li', 'wt', 'ws', 'hv', 'rt'}
  if status ~= 'succeeded' then redis.call('ZADD', key('due', 'manifest'), NOW, e.id) wake('sweep', NOW) end
  advance(e, change)
  count('ended:' .. status .. ':' .. (kind or ''))
  expire_idempotency(e)
  redis.call('PUBLISH', key('ended'), e.id)
end

-- A fact about an ended edit: its manifest must be written again.
local function ended_otherwise(e, facts)
  if not FINAL[e.st] then return end
  facts.fe = e.fe + 1
  redis.call('ZADD', key('due', 'manifest'), NOW, e.id)
  wake('sweep', NOW)
end
