#!lua flags=no-writes
--- @include _circuits
-- Reads edits. A: ids, timeline (true: with it). Returns one JSON text for each edit, because clients decode many small
-- replies slowly: {hash as a flat list, input, long texts as a flat list, timeline, now (ms), what holds the edit | false,
-- since when (ms) if that is an outage}, or false.
local NEEDED = {poll = {'read'}, store = {'storage', 'download'}}
local known = {}

local function once(name, look)
  if known[name] == nil then known[name] = look() or false end
  return known[name]
end

local function queue_held()
  local gate = redis.call('HMGET', key('gate'), 'blocked', 'why')
  return gate[1] and 'provider_account' or gate[2]
end

local function holds(flat)
  local place
  for i = 1, #flat, 2 do
    if flat[i] == 'pl' then place = flat[i + 1] end
  end
  if place == 'queue' then return once('queue', queue_held) end
  for _, name in ipairs(NEEDED[place] or {}) do
    local down = once(name, function()
      local s = redis.call('HMGET', key('limit', name), 'half', 'down')
      return s[1] == '1' and tonumber(s[2])
    end)
    if down then return PAUSE[name] or 'cooldown', down end
  end
  return false
end

local answer = {}
for n, id in ipairs(A.ids) do
  local flat = redis.call('HGETALL', key('e', id))
  if #flat == 0 then
    answer[n] = false
  else
    answer[n] = cjson.encode({
      flat, redis.call('GET', key('i', id)) or '', redis.call('HGETALL', key('x', id)),
      A.timeline and redis.call('GET', key('t', id)) or '', NOW, holds(flat),
    })
  end
end
return answer
