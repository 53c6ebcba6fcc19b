#!lua flags=no-writes
--- @include _keys
-- Edits whose create has no answer yet: each may own a task without a token.
-- A: most. Returns {more (1: there are more), edits: [{id, sa (ms), input, sent}]}.
local edits, more = {}, 0
for _, step in ipairs({'adopt', 'submit'}) do
  local ids = redis.call('ZRANGE', key('due', step), 0, A.most)
  if #ids > A.most then more = 1 end
  for _, id in ipairs(ids) do
    edits[#edits + 1] = {
      id = id, sa = tonumber(redis.call('HGET', key('e', id), 'sa') or 0), input = redis.call('GET', key('i', id)) or '',
      sent = redis.call('HGET', key('x', id), 'sent') or '',
    }
  end
end
return cjson.encode({more = more, edits = edits})
