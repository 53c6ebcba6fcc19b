-- The provider's limits: GCRA in time slots (k tokens at a time), the shared "closed until" after a refusal, and room in flight.
-- State of a limit is the hash `limit:{name}`: tat (when the next slot is free), until (closed), back (ms of the last closing),
-- half (1: reopening, one probe at a time), probe (until when the present probe counts), since (reopened at: slow climb).

local PROBE = 30000  -- ms a probe may take before the next one is let through
local CLIMB = 10000  -- ms from reopening to full rate
local LEAST = 0.2    -- share of the rate right after reopening

-- While processes disagree on a ceiling the lowest holds; the heartbeat keeps the lowest of all that live.
local function ceiling(name, own)
  local shared = tonumber(redis.call('HGET', key('ceilings'), name) or own)
  return math.min(own, shared)
end

-- What a limit would grant now: at most how many, the first slot, ms between slots, and else why not and when to ask again.
local function quote(name, rate, lookahead)
  local s = redis.call('HMGET', key('limit', name), 'tat', 'until', 'half', 'probe', 'since')
  local tat, closed, half, probe, since =
    tonumber(s[1] or 0), tonumber(s[2] or 0), s[3] == '1', tonumber(s[4] or 0), tonumber(s[5] or 0)
  if closed > NOW and closed < NOW + HORIZON then return {n = 0, reason = 'cooldown', at = closed} end
  if since > NOW then since = 0 end -- the clock was set back
  if half and probe > NOW and probe <= NOW + PROBE then return {n = 0, reason = 'cooldown', at = math.min(probe, NOW + 1000)} end
  local climbed = math.min(1, LEAST + (1 - LEAST) * (NOW - since) / CLIMB)
  local gap = 1000 / (rate * climbed)
  if tat > NOW + math.max(HORIZON, gap) then tat = NOW end
  local first = math.max(tat, NOW)
  local n = math.floor((NOW + lookahead - first) / gap) + 1
  if half then n = math.min(n, 1) end
  if n <= 0 then return {n = 0, reason = 'rate_limit', at = math.ceil(first - lookahead)} end
  return {n = n, first = first, gap = gap, half = half, reason = 'rate_limit', at = math.ceil(first + n * gap - lookahead)}
end

local function spend(name, offer, n)
  if n == 0 then return end
  redis.call('HSET', key('limit', name), 'tat', string.format('%.3f', offer.first + n * offer.gap))
  if offer.half then redis.call('HSET', key('limit', name), 'probe', NOW + PROBE) end
  count('granted:' .. name, n)
end

-- In flight is derived from where the edits are, never counted apart.
local function in_flight()
  return redis.call('ZCARD', key('due', 'submit')) + redis.call('ZCARD', key('due', 'adopt'))
    + redis.call('ZCARD', key('due', 'poll')) + redis.call('ZCARD', key('abandoned'))
end

-- Why no edit of `tenant` may be taken in now: no_memory | full | tenant_full, and what tells when it may be; nil where there is
-- room. A: max_queued, max_of_tenant?, no_memory? (1: Redis uses as much memory as it may for edits).
local function crowded(tenant)
  local waiting = queued()
  local full = A.no_memory == 1 and 'no_memory' or (waiting >= A.max_queued and 'full' or nil)
  if not full and A.max_of_tenant then
    waiting = redis.call('ZCARD', key('q', tenant))
    full = waiting >= A.max_of_tenant and 'tenant_full' or nil
  end
  return full and {
    outcome = full, waiting = waiting, tenants = redis.call('ZCARD', key('tenants')), now = NOW,
    submitted = tonumber(redis.call('HGET', key('stats'), 'granted:create') or 0),
  }
end
