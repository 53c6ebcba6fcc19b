#!lua flags=allow-oom
--- @include _ends
-- Cancels a queued edit; the provider has no cancel. A: id. Returns ok|missing|too_late.
local e = record(A.id)
if not e then return 'missing' end
if e.st == 'canceled' then return 'ok' end
if e.st ~= 'queued' then return 'too_late' end
finish(e, 'canceled', nil, {set = {cs = 'released', fe = e.fe + 1}})
return 'ok'
