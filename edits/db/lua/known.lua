#!lua flags=no-writes
--- @include _time
-- Tasks whose creates were claimed in the last `life` ms and which the provider's history must show: from one look at the
-- due-sets and the newest ended edits. A: life, most (of each set). Returns {now (ms), tasks: [[task, ms of the claim]]}.
local tasks = {}
for _, set in ipairs({key('due', 'poll'), key('due', 'store'), key('retention')}) do
  for _, id in ipairs(redis.call('ZREVRANGE', set, 0, A.most - 1)) do -- due last means bought last, approximately
    local of = redis.call('HMGET', key('e', id), 'ti', 'sa', 'st')
    -- A create that failed has perhaps no listed task.
    if of[1] and of[2] and of[3] ~= 'failed' and tonumber(of[2]) > NOW - A.life then
      tasks[#tasks + 1] = {of[1], tonumber(of[2])}
    end
  end
end
return cjson.encode({now = NOW, tasks = tasks})
