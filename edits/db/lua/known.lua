#!lua flags=no-writes
--- @include _time
-- Tasks whose creates were claimed in the last `life` ms and which must show in the provider's history sooner or later, as far as
-- one look at the due-sets and at the newest of the ended tells. A: life, most (of each set).
-- Returns {now (ms), tasks: [[task, ms of the claim]]}.
local tasks = {}
local function add(ids)
  for _, id in ipairs(ids) do
    local of = redis.call('HMGET', key('e', id), 'ti', 'sa', 'st')
    -- One that failed may have done so at its create, and nobody says that such a task is listed.
    if of[1] and of[2] and of[3] ~= 'failed' and tonumber(of[2]) > NOW - A.life then
      tasks[#tasks + 1] = {of[1], tonumber(of[2])}
    end
  end
end
add(redis.call('ZREVRANGE', key('due', 'poll'), 0, A.most - 1)) -- what is due last was bought last, or nearly so
add(redis.call('ZREVRANGE', key('due', 'store'), 0, A.most - 1))
add(redis.call('ZREVRANGE', key('retention'), 0, A.most - 1))
return cjson.encode({now = NOW, tasks = tasks})
