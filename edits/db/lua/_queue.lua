--- @include _wake
-- The fair queue: a zset of tenants by virtual time, and a zset of edits for each tenant.

-- Number of queued edits, stored: counting them costs a step for each tenant.
local function queued()
  return tonumber(redis.call('GET', key('queued')) or 0)
end

local IN_LINE, NEWEST = {}, nil -- cached by this script: tenants in line; `newest` of the data-loss check

local function line_up(tenant, edits)
  if not IN_LINE[tenant] and not redis.call('ZSCORE', key('tenants'), tenant) then
    redis.call('ZADD', key('tenants'), tonumber(redis.call('GET', key('vtime')) or 0), tenant)
  end
  IN_LINE[tenant] = true
  -- During a data-loss check only edits that are surely new may be bought.
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

-- The tenant stays in line until its next turn, even without edits, so that it keeps its virtual time.
local function dequeue(e)
  redis.call('DECR', key('queued'))
  if e.ex then redis.call('ZREM', key('expiring'), e.id) end
  redis.call('ZREM', key('q', e.tn), e.id)
end
