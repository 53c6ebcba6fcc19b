#!lua flags=no-writes
--- @include _keys
-- The edit of each task. A: tasks. Returns ids in the same order, empty for unknown tasks.
local owners = {}
for n, task in ipairs(A.tasks) do owners[n] = redis.call('GET', key('task', task)) or '' end
return owners
