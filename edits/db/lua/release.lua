#!lua flags=allow-oom
--- @include _advance
-- Requeues an edit that was not bought, at its old place. A: id, fence, event, wait, data?. Returns ok|stale.
local e = record(A.id)
if not fenced(e) or e.st ~= 'submitting' then return 'stale' end
advance(e, {
  status = 'queued', place = 'queue', wait = A.wait, event = A.event, data = A.data, set = {cs = 'reserved', fe = e.fe + 1},
  drop = {'li', 'sa', 'rt', 'hv'},
})
return 'ok'
