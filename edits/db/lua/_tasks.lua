--- @include _advance

-- Stores a paid task that the edit does not use, for as long as the edit is stored: its counted units and its fate:
-- running, completed (never used), or another word for a task without a result.
local function set_aside(id, task, units, fate)
  local x = key('x', id)
  local named = redis.call('HGET', x, 'extra') or ''
  if not string.find(' ' .. named, ' ' .. task .. ' ', 1, true) then redis.call('HSET', x, 'extra', named .. task .. ' ') end
  redis.call('HSET', x, 'task:' .. task, string.format('%.0f %s', units or 0, fate))
end

local function aside(id, task)
  local units, fate = string.match(redis.call('HGET', key('x', id), 'task:' .. task) or '', '^(%d+) (.+)$')
  return tonumber(units or 0), fate
end

-- Another paid task that the edit can use: a completed one, else one that still runs.
local function other_task(e)
  local running
  for task in string.gmatch(redis.call('HGET', key('x', e.id), 'extra') or '', '%S+') do
    local _, fate = aside(e.id, task)
    if fate == 'completed' then return task, fate end
    if redis.call('ZSCORE', key('abandoned'), task) then running = running or task end
  end
  return running, running and 'running'
end

-- Makes another paid task the edit's own; `fate`: of its task so far. Returns the changed fields.
local function go_by(e, task, fate)
  local units, found = aside(e.id, task)
  local rest = {}
  for name in string.gmatch(redis.call('HGET', key('x', e.id), 'extra') or '', '%S+') do
    if name ~= task then rest[#rest + 1] = name .. ' ' end
  end
  redis.call('HSET', key('x', e.id), 'extra', table.concat(rest))
  redis.call('HDEL', key('x', e.id), 'task:' .. task, 'addr', 'cand')
  redis.call('ZREM', key('abandoned'), task)
  if e.ti then
    set_aside(e.id, e.ti, e.tu or e.cu, fate)
    if fate == 'running' then redis.call('ZADD', key('abandoned'), NOW, e.ti) end
  end
  return {ti = task, tu = units, ts = found == 'completed' and found or 'pending', ta = NOW, nl = NOW, ou = 0, rt = 0, fe = e.fe + 1}
end

-- Continues the edit with another of its paid tasks, which is read next.
local function take_other(e, task, fate)
  local data = {task_id = task, instead_of = e.ti}
  local fields = go_by(e, task, fate)
  if e.pl == 'queue' then fields.hv = 1 end -- it may still buy one
  advance(e, {
    status = 'processing', place = 'poll', due = NOW, wait = 'notice', event = 'other_task_taken', data = data, set = fields,
    drop = {'li', 'tr'},
  })
end
