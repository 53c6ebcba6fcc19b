#!lua flags=no-writes
--- @include _room
-- Whether an edit would be taken in, asked before its picture is read. A: tenant, idem? (a key: the edit that it stands for
-- already is shown whether there is room or not), and what `crowded` asks for.
-- Returns {outcome: room}, or what `crowded` says.
if A.idem and redis.call('EXISTS', key('idem', A.tenant, A.idem)) == 1 then return cjson.encode({outcome = 'room'}) end
return cjson.encode(crowded(A.tenant) or {outcome = 'room'})
