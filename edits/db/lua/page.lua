#!lua flags=no-writes
--- @include _keys
-- Ids of a tenant's edits, newest first. A: tenant, external_id? (filter), before? (id: older ones), limit.
local index = A.external_id and key('ext', A.tenant, A.external_id) or key('index', A.tenant)
return redis.call('ZREVRANGEBYLEX', index, A.before and '(' .. A.before or '+', '-', 'LIMIT', 0, A.limit)
