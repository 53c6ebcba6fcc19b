--- @include _time

-- Next wake-ups of chains on `step`, earliest first: [chain, ms, …]. Working chains have one, too.
local function looks(step, most)
  return redis.call('ZRANGEBYSCORE', key('idle', step), string.format('(%.0f', NOW), '+inf', 'WITHSCORES', 'LIMIT', 0, most)
end

-- Wakes up to two sleeping chains for an edit that is due earlier, unless one chain wakes in time (MOMENT) and another
-- SOON after it, in case the first has died. If no process hears it, all chains are woken.
local MOMENT, SOON = 25, 500
local LOOKED_AT = {}
local function wake(step, due)
  if LOOKED_AT[step] and LOOKED_AT[step] <= due then return end
  local idle, rows = key('idle', step), looks(step, 6)
  local first, second = tonumber(rows[2] or 0), tonumber(rows[4] or 0)
  local heard = first - MOMENT <= due and 1 or 0
  LOOKED_AT[step] = math.max(first - MOMENT, second - SOON)
  if LOOKED_AT[step] <= due then return end
  for n = 1 + 2 * heard, #rows, 2 do
    if heard < 2 and redis.call('PUBLISH', key('wake', rows[n]), step) > 0 then
      redis.call('ZADD', idle, NOW + MOMENT, rows[n])
      heard = heard + 1
    elseif heard < 2 then
      redis.call('ZREM', idle, rows[n])
    end
  end
  if heard == 0 then
    redis.call('DEL', idle)
    redis.call('PUBLISH', key('wake'), step)
  end
  LOOKED_AT[step] = 0
end

-- How long `chain` sleeps, which found nothing due before `next_at`: it follows SOON after a chain that works, and chains
-- that would wake at the same time are staggered.
local function in_turn(step, chain, next_at)
  local rows, until_then, soon = looks(step, 16), next_at, nil
  for n = 1, #rows, 2 do
    local at = tonumber(rows[n + 1])
    if rows[n] ~= chain then
      if at <= NOW + MOMENT then soon = NOW + SOON - MOMENT elseif at <= NOW + SOON then soon = nil end
      if at <= until_then then until_then = math.max(at, next_at) + SOON - 2 * MOMENT end
    end
  end
  return math.min(until_then, soon or until_then)
end
