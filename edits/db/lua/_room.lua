--- @include _queue
-- Whether there is room for one more edit.

-- Why no edit of `tenant` may be taken in now: no_memory | full | tenant_full, and what tells when it may be; nil where there is
-- room. A: max_queued, max_of_tenant?, no_memory? (1: Redis uses as much memory as it may for edits).
local WAITING, OF_TENANT = nil, {} -- counted once a script
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

-- There is room for it, and it takes that.
local function one_more(tenant)
  WAITING = WAITING + 1
  if OF_TENANT[tenant] then OF_TENANT[tenant] = OF_TENANT[tenant] + 1 end
end
