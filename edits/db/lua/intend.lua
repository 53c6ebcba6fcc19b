#!lua flags=allow-oom
--- @include _record
-- Stores the picture address before it is sent. A: id, fence, address. Returns ok|stale.
local e = record(A.id)
if not fenced(e) or e.pl ~= 'submit' then return 'stale' end
redis.call('HSET', key('x', A.id), 'sent', A.address)
return 'ok'
