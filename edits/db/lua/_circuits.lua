--- @include _time
-- Circuits and limits: each operation (create, read, history, download, storage) has a hash `limit:{operation}`:
-- tat (ms, next free slot), until (open until: no calls), back (ms, last back-off), at (opened at), half (1: half-open, one probe
-- at a time), probe (the running probe counts until), down (failing since), since (closed again at: the rate climbs).

local PROBE = 30000  -- ms until the next probe may start
local CLIMB = 6000   -- ms from closing to full rate
local LEAST = 0.2    -- share of the rate right after closing
local PAUSE = {storage = 'storage'} -- what edits wait for during an outage; default: `cooldown`

-- A stored time; 0 if there is none or the clock was set back since.
local function before_now(text)
  local at = tonumber(text or 0)
  return at <= NOW and at or 0
end

-- The circuit of an operation: `open` (ms, if open until then), else `share` of its rate; `half`: one probe alone.
local function circuit(name)
  local s = redis.call('HMGET', key('limit', name), 'tat', 'until', 'half', 'probe', 'since', 'down')
  local open, half, probe, since, down = tonumber(s[2] or 0), s[3] == '1', tonumber(s[4] or 0), before_now(s[5]), before_now(s[6])
  local c = {name = name, tat = tonumber(s[1] or 0), half = half, since = since, down = half and down > 0 and down or nil}
  if ahead(open) then c.open = open
  elseif half and probe > NOW and probe <= NOW + PROBE then c.open = math.min(probe, NOW + 1000) end
  c.share = math.min(1, LEAST + (1 - LEAST) * (NOW - since) / CLIMB)
  return c
end
