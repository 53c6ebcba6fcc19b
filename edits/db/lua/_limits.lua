--- @include _counters _circuits
-- GCRA in time slots, k tokens at a time.

local MANY = 1000000 -- tokens of an operation without a rate

-- The lowest value that a live process has for a ceiling (heartbeat.lua).
local function ceiling(name, own)
  local shared = tonumber(redis.call('HGET', key('ceilings'), name) or own)
  return math.min(own, shared)
end

-- An offer: n tokens, their first slot, ms between slots; without tokens the reason and when to try again.
-- `own`: circuit of the limit; `other`: the circuit that decides, if another; `free`: unlimited except while it climbs.
local function quote(own, rate, lookahead, other, free)
  local c = other or own
  if c.open then return {n = 0, reason = 'cooldown', at = c.open, c = c} end
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
