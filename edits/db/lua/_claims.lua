--- @include _time
-- What claims share.

-- Members of a set that are due, at most `limit`; the clock may have been set back since their time was written.
local function due_in(set, limit)
  local found = redis.call('ZRANGEBYSCORE', set, '-inf', NOW, 'LIMIT', 0, limit)
  if #found < limit then
    for _, far in ipairs(redis.call('ZRANGEBYSCORE', set, NOW + HORIZON, '+inf', 'LIMIT', 0, limit - #found)) do
      found[#found + 1] = far
    end
  end
  return found
end

-- An answer of a claim, kept for a while: the client library repeats a call whose reply was lost, and must get the same one.
local function remember(answer)
  local text = cjson.encode(answer)
  if #answer.claims > 0 then redis.call('SET', key('claim', A.nonce), text, 'PX', 30000) end
  return text
end
