#!lua flags=allow-oom
--- @include _time
-- Somebody looks at the clock (edits/db/clock.py). A: judged? {seen, raw, jump}: from the look at `seen` up to `raw` the server's clock
-- moved by `jump` ms more than time did. Returns {raw, stepped, seen}; seen is 0, or the last look if what the clock did since
-- then has to be judged first: until then time stands still. Repeatable: a verdict counts for the gap that it was made for.
if A.judged and A.judged.seen == SEEN then
  SEEN, STEPPED = A.judged.raw, STEPPED - A.judged.jump
  redis.call('SET', key('tick'), string.format('%.0f %.0f', SEEN, STEPPED))
end
if RAW < SEEN - 1000 or RAW > SEEN + UNSEEN then return {RAW, STEPPED, SEEN} end
redis.call('SET', key('tick'), string.format('%.0f %.0f', math.max(RAW, SEEN), STEPPED))
return {RAW, STEPPED, 0}
