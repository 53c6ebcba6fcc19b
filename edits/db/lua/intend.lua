#!lua flags=allow-oom
--- @include _record
-- Stores the picture address about to be sent, beside the intent of the claim. A: id, fence, address. Returns ok|stale.
local e = record(A.id)
if not fenced(e) or e.pl ~= 'submit' then return 'stale' end
redis.call('HSET', key('x', A.id), 'sent', A.address)
return 'ok'
