#!lua flags=allow-oom
--- @include _time
-- Lets one process at a time delete objects after their retention, day by day. A: op and, by op:
--   claim: nonce, lease (ms) - returns {now, day ('' at the start of a round)} as JSON, or {} if there is nothing to do
--   leave: nonce (the fence), day? (where a round continues), again? (ms until the next round) - returns ok|stale
local purge = key('purge')
if A.op == 'claim' then
  local s = redis.call('HMGET', purge, 'holder', 'until', 'day', 'again')
  local held, again = tonumber(s[2] or 0), tonumber(s[4] or 0)
  if s[1] ~= A.nonce and (ahead(held) or ahead(again)) then return '{}' end
  redis.call('HSET', purge, 'holder', A.nonce, 'until', NOW + A.lease)
  return cjson.encode({now = NOW, day = s[3] or ''})
end
if redis.call('HGET', purge, 'holder') ~= A.nonce then return 'stale' end
redis.call('HSET', purge, 'until', 0, 'day', A.day or '', 'again', A.again and NOW + math.min(A.again, HORIZON - 1) or 0)
return 'ok'
