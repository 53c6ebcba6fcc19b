#!lua flags=allow-oom
-- Opens and closes what all workers share. A: op and, by op:
--   close: name (create|read), after? (ms, as the provider says), first, most (ms of back-off) - refused or out of reach
--   open: name - a probe got through
--   block: message - the account was refused; unblock
-- Returns ok.
if A.op == 'close' then
  need('name', 'first', 'most')
  local limit = key('limit', A.name)
  local state = redis.call('HMGET', limit, 'until', 'back')
  local closed = tonumber(state[1] or 0)
  local after = A.after and math.min(A.after, HORIZON - 1) -- beyond, the time would count as one of a clock set back
  -- Only the first refusal of a burst makes the back-off grow.
  if closed <= NOW or closed >= NOW + HORIZON then
    local back = after or math.min(A.most, tonumber(state[2] or 0) * 2)
    back = math.max(back, A.first)
    redis.call('HSET', limit, 'until', NOW + back, 'back', back, 'half', 1, 'probe', 0)
  elseif after then
    redis.call('HSET', limit, 'until', math.max(closed, NOW + after))
  end
elseif A.op == 'open' then
  need('name')
  if redis.call('HGET', key('limit', A.name), 'half') == '1' then
    redis.call('HSET', key('limit', A.name), 'half', 0, 'back', 0, 'probe', 0, 'since', NOW)
    wake(A.name == 'create' and 'submit' or 'poll', NOW)
  end
elseif A.op == 'block' then
  need('message')
  if redis.call('HSETNX', key('gate'), 'blocked', NOW) == 1 then
    redis.call('HSET', key('gate'), 'message', A.message, 'ask', NOW + 15000)
  end
elseif A.op == 'unblock' then
  redis.call('HDEL', key('gate'), 'blocked', 'message', 'ask')
  redis.call('HSET', key('limit', 'create'), 'half', 1, 'probe', 0)
  wake('submit', NOW)
end
return 'ok'
