#!lua flags=allow-oom
--- @include _advance
-- Looked, not ready: look again later. Costs no attempt. A: [{id, fence, due (ms from now), nudge (as claimed), tries (failures of
-- this step so far), looked? (1: the task was read), task_status?, started? (ms, when the provider began), wait?, event?}].
-- Returns [ok | stale | error], one for each: an edit that cannot be read stops no other.
local NEEDED = {'fm', 'st', 'pl', 'fe', 'nu', 'la', 'wt', 'ts', 'tr', 'nl', 'ou', 'rt'}
local later, first = {}, {} -- by place: due times and ids for one ZADD, the earliest

local function put_off(e, due)
  due = math.min(due, NOW + HORIZON - 1)
  local line = later[e.pl] or {}
  line[#line + 1], line[#line + 2] = due, e.id
  later[e.pl], first[e.pl] = line, math.min(first[e.pl] or due, due)
end

local function snooze(a)
  local e = record(a.id, NEEDED)
  if not fenced(e, a.fence) or e.pl == 'queue' or e.pl == 'submit' then return 'stale' end
  local nudged, change = e.nu ~= a.nudge, {wait = a.wait, event = a.event, set = {}, drop = {'li'}}
  if a.tries ~= (e.rt or 0) then change.set.rt = a.tries end
  if a.looked == 1 then -- the wait for the provider is counted only where we could look
    if e.nl and NOW > e.nl then change.set.ou = (e.ou or 0) + NOW - e.nl end
    change.set.nl = nudged and NOW or NOW + a.due
  end
  if a.task_status ~= e.ts then change.set.ts = a.task_status end
  if a.started and not e.tr then
    change.event, change.wait, change.at, change.set.tr = 'started', 'provider_run', a.started, a.started
  end
  if a.wait and a.wait ~= e.wt and not change.event then change.event = a.wait == 'provider_run' and 'started' or a.wait end
  advance(e, change)
  put_off(e, nudged and NOW or NOW + a.due)
  return 'ok'
end

local answers = {}
for n, a in ipairs(A) do
  local can, answer = pcall(snooze, a)
  answers[n] = can and answer or redis.error_reply(type(answer) == 'table' and answer.err or answer)
end
for place, line in pairs(later) do
  redis.call('ZADD', key('due', place), unpack(line))
  wake(place, first[place])
end
return answers
