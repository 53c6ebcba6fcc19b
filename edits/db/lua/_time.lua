--- @include _keys
-- The time of all edits, in ms.
-- It goes on with the server's clock as far as a process looked at it (tick.lua); what the clock did since counts for UNSEEN at most.

local HORIZON = $HORIZON -- ms; a score further away than any snooze means that the clock was set back: look now
local UNSEEN = $UNSEEN -- ms; the margin that is in every lease
local NOW, RAW, SEEN, STEPPED -- ms: the time of all edits; the server's clock, when it was looked at, what its jumps came to
do
  local server = redis.call('TIME')
  local kept = redis.call('MGET', key('clock'), key('tick'))
  local seen, stepped = string.match(kept[2] or '', '^(%d+) (%-?%d+)$')
  RAW = server[1] * 1000 + math.floor(server[2] / 1000)
  SEEN, STEPPED = tonumber(seen or RAW), tonumber(stepped or 0)
  NOW = math.min(math.max(RAW, SEEN), SEEN + UNSEEN) + STEPPED + tonumber(kept[1] or 0)
end
