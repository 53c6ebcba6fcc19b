#!lua flags=no-writes
-- Reads edits. A: ids, timeline (true: with it).
-- Returns [[hash as a flat list, input, long texts as a flat list, timeline, now (ms)] | false].
local answer = {}
for n, id in ipairs(A.ids) do
  local flat = redis.call('HGETALL', key('e', id))
  if #flat == 0 then
    answer[n] = false
  else
    answer[n] = {
      flat, redis.call('GET', key('i', id)) or '', redis.call('HGETALL', key('x', id)),
      A.timeline and redis.call('GET', key('t', id)) or '', NOW,
    }
  end
end
return answer
