--- @include _time
-- The provider's limits and the circuits of all that edits need: GCRA in time slots (k tokens at a time), the shared "closed until"
-- after a refusal or an outage, and room in flight. Each operation (create, read, history, download, storage) has a hash
-- `limit:{operation}`: tat (when the next slot is free), until (closed), back (ms of the last closing), at (when it was closed),
-- half (1: reopening, one probe at a time), probe (until when the present probe counts), down (since when it does not work),
-- since (reopened at: slow climb).

local PROBE = 30000  -- ms a probe may take before the next one is let through
local CLIMB = 6000   -- ms from reopening to full rate
local LEAST = 0.2    -- share of the rate right after reopening
local PAUSE = {storage = 'storage'} -- what edits wait for while an operation does not work; else it is `cooldown`

-- A time that was written down, or 0 where there is none, or where the clock was set back since.
local function before_now(text)
  local at = tonumber(text or 0)
  return at <= NOW and at or 0
end

-- Whether an operation may be asked for now: `shut` until then, else with a share of its rate; half: one probe alone.
local function circuit(name)
  local s = redis.call('HMGET', key('limit', name), 'tat', 'until', 'half', 'probe', 'since', 'down')
  local closed, half, probe, since, down = tonumber(s[2] or 0), s[3] == '1', tonumber(s[4] or 0), before_now(s[5]), before_now(s[6])
  local c = {name = name, tat = tonumber(s[1] or 0), half = half, since = since, down = half and down > 0 and down or nil}
  if closed > NOW and closed < NOW + HORIZON then c.shut = closed
  elseif half and probe > NOW and probe <= NOW + PROBE then c.shut = math.min(probe, NOW + 1000) end
  c.share = math.min(1, LEAST + (1 - LEAST) * (NOW - since) / CLIMB)
  return c
end
