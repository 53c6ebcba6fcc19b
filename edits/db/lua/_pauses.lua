--- @include _advance _circuits

-- Writes the outages since the edit's last event into its timeline. During an outage the edit waits for its end, after it
-- again for what it waited for before. Returns told | lasts | nil.
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
