#!lua flags=allow-oom
--- @include _advance
-- Looked, not ready: look again later. Costs no attempt. A: id, fence, due (ms from now), nudge (as claimed), looked? (1: the task was read), tries? (failures of
-- this step so far), task_status?, started? (ms, when the provider began), wait?, event?, data?. Returns ok|stale.
local e = record(A.id)
if not fenced(e) or e.pl == 'queue' or e.pl == 'submit' then return 'stale' end
local change = {due = NOW + A.due, place = e.pl, wait = A.wait, event = A.event, data = A.data, set = {rt = A.tries or e.rt or 0}, drop = {'li'}}
if A.looked == 1 then -- the wait for the provider is counted only where we could look
  if e.nl and NOW > e.nl then change.set.ou = (e.ou or 0) + NOW - e.nl end
  change.set.nl = e.nu ~= A.nudge and NOW or change.due
end
if A.task_status then change.set.ts = A.task_status end
if A.started and not e.tr then
  change.event, change.wait, change.at, change.set.tr = 'started', 'provider_run', A.started, A.started
end
if A.wait and A.wait ~= e.wt and not change.event then change.event = A.wait == 'provider_run' and 'started' or A.wait end
if e.nu ~= A.nudge then change.due = NOW end
advance(e, change)
return 'ok'
