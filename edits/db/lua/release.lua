#!lua flags=allow-oom
--- @include _advance
-- Puts an edit that provably was not bought back into the queue, at its old place; its attempt is not spent. A: id, fence, event,
-- wait, data?. Returns ok|stale.
local e = record(A.id)
if not fenced(e) or e.st ~= 'submitting' then return 'stale' end
advance(e, {
  status = 'queued', place = 'queue', wait = A.wait, event = A.event, data = A.data, set = {cs = 'reserved', fe = e.fe + 1},
  drop = {'li', 'sa', 'rt', 'hv'},
})
return 'ok'
