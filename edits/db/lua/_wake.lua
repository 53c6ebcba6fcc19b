--- @include _time
-- Which sleeping chain looks at a step next, and waking one up earlier.

-- When chains of `step` look at it next, the first of them: [chain, ms, …]. `idle` says so of each, of one that works on, too.
local function looks(step, most)
  return redis.call('ZRANGEBYSCORE', key('idle', step), string.format('(%.0f', NOW), '+inf', 'WITHSCORES', 'LIMIT', 0, most)
end

-- Two chains look at a step in time: one by the due time, or a moment after it, and another soon after, should the first have
-- died. Where they do not, two who sleep are woken, each by the channel of its process; where nobody hears that, all are. A script
-- that changes many edits looks once: nobody lies down while it runs.
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

-- Until when `chain` sleeps, which found nothing and sees nothing due before `next_at`. While another one works it comes soon after
-- it; and of those who sleep until the same time one comes then, the others one after the other.
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
