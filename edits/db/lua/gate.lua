#!lua flags=allow-oom
--- @include _wake _circuits
-- Opens and closes circuits and the submission pause for all workers. Returns ok. A: op and, by op:
--   open: name (operation), after? (ms, from the provider), first, most (ms of back-off), age? (ms since the failed request
--     began), probe? (1: it was the probe), ago? (ms since the first failure in a row), cause?
--   close: name - a probe succeeded
--   again: name - the probe failed for another reason and showed nothing
--   block: message - the account was refused; unblock
local KEPT = 50 -- outages stored for each operation
local STEP = {create = 'submit', read = 'poll', download = 'store', storage = 'store', history = 'adopt'}

local function ended(name, from, wait)
  redis.call('RPUSH', key('pauses', name), string.format('%.0f %.0f %s', math.min(from, NOW), NOW, wait))
  redis.call('LTRIM', key('pauses', name), -KEPT, -1)
end

if A.op == 'open' then
  local limit = key('limit', A.name)
  local state = redis.call('HMGET', limit, 'until', 'back', 'at', 'half', 'down')
  local open_until = tonumber(state[1] or 0)
  local after = A.after and math.min(A.after, HORIZON - 1) -- later times mean a clock set back
  -- A request from before the last opening shows nothing new.
  local at = before_now(state[3])
  local stale = A.age and A.probe ~= 1 and NOW - A.age < at
  -- Only the first refusal of a burst makes the back-off grow.
  if not ahead(open_until) then
    if stale then return 'ok' end
    local back = after or math.min(A.most, tonumber(state[2] or 0) * 2)
    back = math.max(back, A.first)
    local down = state[4] == '1' and before_now(state[5]) or 0
    down = string.format('%.0f', down > 0 and down or NOW - (A.ago or 0))
    redis.call('HSET', limit, 'until', NOW + back, 'back', back, 'half', 1, 'probe', 0, 'at', NOW, 'down', down, 'cause', A.cause or '')
    if A.name == 'create' then redis.call('PUBLISH', key('wake'), 'open') end -- granted slots are not used
  elseif after then
    redis.call('HSET', limit, 'until', math.max(open_until, NOW + after))
  end
elseif A.op == 'close' then
  local state = redis.call('HMGET', key('limit', A.name), 'half', 'down')
  if state[1] == '1' then
    redis.call('HSET', key('limit', A.name), 'half', 0, 'back', 0, 'probe', 0, 'since', NOW)
    redis.call('HDEL', key('limit', A.name), 'down', 'cause')
    if state[2] then ended(A.name, tonumber(state[2]), PAUSE[A.name] or 'cooldown') end
    wake(STEP[A.name], NOW)
    if A.name == 'storage' then wake('sweep', NOW) end
  end
elseif A.op == 'again' then
  if redis.call('HGET', key('limit', A.name), 'half') == '1' then redis.call('HSET', key('limit', A.name), 'probe', 0) end
elseif A.op == 'block' then
  if redis.call('HSETNX', key('gate'), 'blocked', NOW) == 1 then
    redis.call('HSET', key('gate'), 'message', A.message, 'ask', NOW + 15000)
  end
elseif A.op == 'unblock' then
  local blocked = tonumber(redis.call('HGET', key('gate'), 'blocked'))
  redis.call('HDEL', key('gate'), 'blocked', 'message', 'ask')
  redis.call('HSET', key('limit', 'create'), 'half', 1, 'probe', 0)
  if blocked then
    ended('create', blocked, 'provider_account')
    redis.call('HSET', key('limit', 'create'), 'since', NOW)
  end
  wake('submit', NOW)
end
return 'ok'
