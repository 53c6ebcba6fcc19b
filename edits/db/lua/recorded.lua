#!lua flags=allow-oom
--- @include _time _record
-- The manifest of an ended edit is written. A: id, fence (of the record that was written). If the edit has changed since and is
-- final, it is written again. Returns ok.
local e = record(A.id)
if e and FINAL[e.st] and e.fe ~= A.fence then
  redis.call('ZADD', key('due', 'manifest'), NOW, A.id)
else
  redis.call('ZREM', key('due', 'manifest'), A.id)
end
return 'ok'
