#!lua flags=no-writes
--- @include _keys
-- Whose each task is. A: tasks. Returns the edits' ids in the same order, '' for a task that we do not know.
local owners = {}
for n, task in ipairs(A.tasks) do owners[n] = redis.call('GET', key('task', task)) or '' end
return owners
