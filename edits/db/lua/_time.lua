--- @include _keys
-- The time of all edits, in ms. It follows the server's clock up to the last judged tick (tick.lua); beyond that it
-- advances by at most UNSEEN.

local HORIZON = $HORIZON -- ms; a later score means that the clock was set back: it is due
local UNSEEN = $UNSEEN -- ms; the margin in every lease
local NOW, RAW, SEEN, STEPPED -- ms: time of all edits; server's clock, its last tick, the sum of its jumps
do
  local server = redis.call('TIME')
  local kept = redis.call('MGET', key('clock'), key('tick'))
  local seen, stepped = string.match(kept[2] or '', '^(%d+) (%-?%d+)$')
  RAW = server[1] * 1000 + math.floor(server[2] / 1000)
  SEEN, STEPPED = tonumber(seen or RAW), tonumber(stepped or 0)
  NOW = math.min(math.max(RAW, SEEN), SEEN + UNSEEN) + STEPPED + tonumber(kept[1] or 0)
end

local function ahead(at) return at > NOW and at < NOW + HORIZON end -- later: the clock was set back
