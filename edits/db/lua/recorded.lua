#!lua flags=allow-oom
--- @include _time _record
-- The manifest of an ended edit is written; again if the edit changed since. A: id, fence (in it). Returns ok.
local e = record(A.id)
if e and FINAL[e.st] and e.fe ~= A.fence then
  redis.call('ZADD', key('due', 'manifest'), NOW, A.id)
else
  redis.call('ZREM', key('due', 'manifest'), A.id)
end
return 'ok'
