#!lua flags=allow-oom
--- @include _advance
-- The answer to a create was lost: searches for its task. A: id, fence, cause, due (ms). Returns ok|stale.
local e = record(A.id)
if not fenced(e) or e.pl ~= 'submit' then return 'stale' end
advance(e, {
  place = 'adopt', due = NOW + A.due, wait = 'answer_lost', event = 'answer_lost', data = {cause = A.cause},
  set = {cs = 'unknown', fe = e.fe + 1}, drop = {'li'},
})
return 'ok'
