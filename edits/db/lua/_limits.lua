-- The provider's limits and the circuits of all that edits need: GCRA in time slots (k tokens at a time), the shared "closed until"
-- after a refusal or an outage, and room in flight. Each operation (create, read, history, download, storage) has a hash
-- `limit:{operation}`: tat (when the next slot is free), until (closed), back (ms of the last closing), at (when it was closed),
-- half (1: reopening, one probe at a time), probe (until when the present probe counts), down (since when it does not work),
-- since (reopened at: slow climb).

local PROBE = 30000  -- ms a probe may take before the next one is let through
local CLIMB = 6000   -- ms from reopening to full rate
local LEAST = 0.2    -- share of the rate right after reopening
local MANY = 1000000 -- of an operation without a rate
local PAUSE = {storage = 'storage'} -- what edits wait for while an operation does not work; else it is `cooldown`

-- While processes disagree on a ceiling the lowest holds; the heartbeat keeps the lowest of all that live.
local function ceiling(name, own)
  local shared = tonumber(redis.call('HGET', key('ceilings'), name) or own)
  return math.min(own, shared)
end

-- A time that was written down, or 0 where there is none, or where the clock was set back since.
local function before_now(text)
  local at = tonumber(text or 0)
  return at <= NOW and at or 0
end

-- Whether an operation may be asked for now: `shut` until then, else with a share of its rate; half: one probe alone.
local function circuit(name)
  local s = redis.call('HMGET', key('limit', name), 'tat', 'until', 'half', 'probe', 'since', 'down')
  redis.call('LLEN', key('pauses', name)) -- raises here, before any write, if another program wrote under our names
  local closed, half, probe, since, down = tonumber(s[2] or 0), s[3] == '1', tonumber(s[4] or 0), before_now(s[5]), before_now(s[6])
  local c = {name = name, tat = tonumber(s[1] or 0), half = half, since = since, down = half and down > 0 and down or nil}
  if closed > NOW and closed < NOW + HORIZON then c.shut = closed
  elseif half and probe > NOW and probe <= NOW + PROBE then c.shut = math.min(probe, NOW + 1000) end
  c.share = math.min(1, LEAST + (1 - LEAST) * (NOW - since) / CLIMB)
  return c
end

-- What a limit would grant now: at most how many, the first slot, ms between slots, and else why not and when to ask again.
-- `own`: the circuit of the limit; `other`: the one that decides, where that is not it. `free`: it has no rate but while it climbs.
local function quote(own, rate, lookahead, other, free)
  local c = other or own
  if c.shut then return {n = 0, reason = 'cooldown', at = c.shut, c = c} end
  if free and not c.half and c.share == 1 then return {n = MANY, first = NOW, gap = 0, reason = 'rate_limit', at = NOW, c = c, free = true} end
  local tat, gap = own.tat, 1000 / (rate * c.share)
  if tat > NOW + math.max(HORIZON, gap) then tat = NOW end
  local first = math.max(tat, NOW)
  local n = math.floor((NOW + lookahead - first) / gap) + 1
  if c.half then n = math.min(n, 1) end
  if n <= 0 then return {n = 0, reason = 'rate_limit', at = math.ceil(first - lookahead), c = c} end
  return {n = n, first = first, gap = gap, half = c.half, reason = 'rate_limit', at = math.ceil(first + n * gap - lookahead), c = c}
end

local function spend(name, offer, n)
  if n == 0 or offer.free then return end
  redis.call('HSET', key('limit', name), 'tat', string.format('%.3f', offer.first + n * offer.gap))
  if offer.half then redis.call('HSET', key('limit', offer.c.name), 'probe', NOW + PROBE) end
  count('granted:' .. name, n)
end

-- Outages since the last event of an edit become spans of their own; what it waited for otherwise goes on after each. While one
-- still lasts, that is what it waits for until its next event. Returns told | lasts | nil.
local function tell_pauses(e, c)
  if c.since <= e.la and not c.down then return nil end
  local before, told = e.wt, nil
  local function pause(from, wait)
    if from > e.la then event(e, 'outage', {operation = c.name}, from) end
    e.wt = wait
  end
  for _, line in ipairs(c.since > e.la and redis.call('LRANGE', key('pauses', c.name), 0, -1) or {}) do
    local from, to, wait = string.match(line, '^(%d+) (%d+) (%S+)$')
    if tonumber(to) > e.la and tonumber(to) <= NOW then
      pause(tonumber(from), wait)
      event(e, 'recovered', {operation = c.name}, tonumber(to))
      e.wt, told = before, 'told'
    end
  end
  if not c.down then return told end
  pause(c.down, c.wait or PAUSE[c.name] or 'cooldown')
  return 'lasts'
end

-- In flight is derived from where the edits are, never counted apart.
local function in_flight()
  return redis.call('ZCARD', key('due', 'submit')) + redis.call('ZCARD', key('due', 'adopt'))
    + redis.call('ZCARD', key('due', 'poll')) + redis.call('ZCARD', key('abandoned'))
end

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
