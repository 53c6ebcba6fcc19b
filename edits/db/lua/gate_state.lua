#!lua flags=no-writes
--- @include _keys
-- The submission pause. Returns [`gate` as a flat list, until when creates are closed | false].
return {redis.call('HGETALL', key('gate')), redis.call('HGET', key('limit', 'create'), 'until')}
