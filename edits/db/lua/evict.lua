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
local leaving, gone = {}, {}
for _, id in ipairs(found) do
  local can, e = readable(id)
  local tasks = can and e and tasks_of(e)
  if can and not e then
    gone[id] = true
  elseif can and FINAL[e.st] and not is_needed(e, tasks) then
    local decoded, asked = pcall(cjson.decode, redis.call('GET', key('i', id)) or '')
    leaving[#leaving + 1] = {e = e, tasks = tasks, external_id = decoded and asked.external_id or nil}
  end
end

for _, one in ipairs(leaving) do
  local e = one.e
  gone[e.id] = true
  redis.call('ZREM', key('index', e.tn), e.id)
  redis.call('ZREM', key('fresh', e.tn), e.id)
  if one.external_id then redis.call('ZREM', key('ext', e.tn, one.external_id), e.id) end
  for _, task in ipairs(one.tasks) do redis.call('DEL', key('task', task)) end
  redis.call('DEL', key('e', e.id), key('i', e.id), key('x', e.id), key('t', e.id))
end
for _, id in ipairs(found) do
  if gone[id] then
    redis.call('ZREM', key('retention'), id)
  else
    redis.call('ZADD', key('retention'), NOW - A.hot + A.later, id)
  end
end
return #found
