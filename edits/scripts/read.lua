#!lua flags=no-writes
-- Reads edits. A: ids, timeline (true: with it).
-- Returns [JSON: {hash as a flat list, input, long texts as a flat list, timeline, now (ms), what holds the queue if the edit is
-- in it | false} | false]: one text an edit, as a client takes many small ones apart slowly.
local held
local function holds(flat)
  for i = 1, #flat, 2 do
    if flat[i] == 'st' and flat[i + 1] ~= 'queued' then return false end
  end
  if held == nil then
    local gate = redis.call('HMGET', key('gate'), 'blocked', 'why')
    held = gate[1] and 'provider_account' or gate[2]
  end
  return held
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
