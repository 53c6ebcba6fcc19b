#!lua flags=allow-oom
--- @include _time _record
-- Deletes ended edits from Redis; their manifests stay. Edits without a written manifest, or with followed tasks, are tried
-- again later. A: k (limit), hot (ms since the end), later (ms). Returns the number of edits looked at. Repeatable.
local function tasks_of(e)
  local tasks = {e.ti}
  for task in string.gmatch(redis.call('HGET', key('x', e.id), 'extra') or '', '%S+') do tasks[#tasks + 1] = task end
  return tasks
end

local function is_needed(e, tasks)
  if redis.call('ZSCORE', key('due', 'manifest'), e.id) then return true end
  for _, task in ipairs(tasks) do
    if redis.call('ZSCORE', key('abandoned'), task) then return true end
  end
  return false
end

local found = redis.call('ZRANGEBYSCORE', key('retention'), '-inf', NOW - A.hot, 'LIMIT', 0, A.k)
for _, id in ipairs(found) do
  local can, e = pcall(record, id)
  local tasks = can and e and tasks_of(e)
  local leaves = tasks and FINAL[e.st] and not is_needed(e, tasks)
  if leaves then
    local decoded, input = pcall(cjson.decode, redis.call('GET', key('i', id)) or '')
    local external_id = decoded and type(input) == 'table' and input.external_id
    if external_id then redis.call('ZREM', key('ext', e.tn, external_id), id) end
    redis.call('ZREM', key('index', e.tn), id)
    redis.call('ZREM', key('fresh', e.tn), id)
    for _, task in ipairs(tasks) do redis.call('DEL', key('task', task)) end
    redis.call('DEL', key('e', id), key('i', id), key('x', id), key('t', id))
  end
  if leaves or (can and not e) then
    redis.call('ZREM', key('retention'), id)
  else
    redis.call('ZADD', key('retention'), NOW - A.hot + A.later, id)
  end
end
return #found
