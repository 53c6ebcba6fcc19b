--- @include _time

-- At most `limit` due members of a set. Scores beyond the horizon are due too: the clock was set back.
local function due_in(set, limit)
  local found = redis.call('ZRANGEBYSCORE', set, '-inf', NOW, 'LIMIT', 0, limit)
  if #found < limit then
    for _, far in ipairs(redis.call('ZRANGEBYSCORE', set, NOW + HORIZON, '+inf', 'LIMIT', 0, limit - #found)) do
      found[#found + 1] = far
    end
  end
  return found
end

-- Stores the answer of a claim for a call that the client library repeats after a lost reply.
local function remember(answer)
  local text = cjson.encode(answer)
  if #answer.claims > 0 then redis.call('SET', key('claim', A.nonce), text, 'PX', 30000) end
  return text
end
