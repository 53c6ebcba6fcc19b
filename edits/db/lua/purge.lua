#!lua flags=allow-oom
--- @include _time
-- Who deletes the objects whose retention is over, and at which day he is: one process at a time. A: op and, by op:
--   claim: nonce, lease (ms) - returns {now, day ('' where a round begins)} as JSON, or {} if nothing is to be done now
--   kept: ids - returns those that have a record
--   leave: nonce, day? (a round goes on there), again? (ms until the next round) - returns ok|stale
-- The nonce is the fence: whoever leaves late moves nothing.
local purge = key('purge')
if A.op == 'claim' then
  local s = redis.call('HMGET', purge, 'holder', 'until', 'day', 'again')
  local held, again = tonumber(s[2] or 0), tonumber(s[4] or 0)
  if s[1] ~= A.nonce then
    if held > NOW and held < NOW + HORIZON then return '{}' end
    if again > NOW and again < NOW + HORIZON then return '{}' end
  end
  redis.call('HSET', purge, 'holder', A.nonce, 'until', NOW + A.lease)
  return cjson.encode({now = NOW, day = s[3] or ''})
elseif A.op == 'kept' then
  local kept = {}
  for _, id in ipairs(A.ids) do
    if redis.call('EXISTS', key('e', id)) == 1 then kept[#kept + 1] = id end
  end
  return kept
else
  if redis.call('HGET', purge, 'holder') ~= A.nonce then return 'stale' end
  redis.call('HSET', purge, 'until', 0, 'day', A.day or '', 'again', A.again and NOW + math.min(A.again, HORIZON - 1) or 0)
  return 'ok'
end
