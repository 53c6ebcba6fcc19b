#!lua flags=allow-oom
--- @include _ends
-- The manifest is written: success. A: id, fence, at (ms), result {ext, bytes, sha, w, h}. Returns ok|stale.
local e = record(A.id)
if not fenced(e) or e.pl ~= 'store' then return 'stale' end
local r = A.result
finish(e, 'succeeded', nil, {
  at = A.at, data = {bytes = r.bytes},
  set = {rx = r.ext, rb = r.bytes, rs = r.sha, rw = r.w, rh = r.h, ra = e.at, cs = 'charged'},
})
redis.call('HDEL', key('x', A.id), 'addr', 'sent', 'msg')
return 'ok'
