--- @include _keys

local WAIT_BUCKETS = $WAIT_BUCKETS -- ms

local function observe(name, ms)
  local n = 1
  while WAIT_BUCKETS[n] and ms > WAIT_BUCKETS[n] do n = n + 1 end
  local bucket = WAIT_BUCKETS[n] or 'inf'
  redis.call('HINCRBY', key('stats'), name .. ':' .. bucket, 1)
  redis.call('HINCRBY', key('stats'), name .. ':sum', math.floor(ms))
end

local function count(name, by)
  redis.call('HINCRBY', key('stats'), name, by or 1)
end
