--- @include _queue

-- nil if an edit of `tenant` may be accepted, else no_memory | full | tenant_full with what clients are told.
-- A: max_queued, max_of_tenant?, no_memory? (1: Redis uses its share of memory).
local WAITING, OF_TENANT = nil, {} -- counted once for each script
local function crowded(tenant)
  WAITING = WAITING or queued()
  local waiting = WAITING
  local full = A.no_memory == 1 and 'no_memory' or (waiting >= A.max_queued and 'full' or nil)
  if not full and A.max_of_tenant then
    OF_TENANT[tenant] = OF_TENANT[tenant] or redis.call('ZCARD', key('q', tenant))
    waiting = OF_TENANT[tenant]
    full = waiting >= A.max_of_tenant and 'tenant_full' or nil
  end
  return full and {
    outcome = full, waiting = waiting, tenants = redis.call('ZCARD', key('tenants')), now = NOW,
    submitted = tonumber(redis.call('HGET', key('stats'), 'granted:create') or 0),
  }
end

-- Counts an edit that will be accepted.
local function one_more(tenant)
  WAITING = WAITING + 1
  if OF_TENANT[tenant] then OF_TENANT[tenant] = OF_TENANT[tenant] + 1 end
end
