#!lua flags=no-writes
--- @include _room
-- Whether an edit would be accepted, before its picture is read. A: tenant, idem? (a known key always is), and the arguments
-- of `crowded`. Returns {outcome: room} or the answer of `crowded`.
if A.idem and redis.call('EXISTS', key('idem', A.tenant, A.idem)) == 1 then return cjson.encode({outcome = 'room'}) end
return cjson.encode(crowded(A.tenant) or {outcome = 'room'})
