-- GCRA meters, one call from each or from none: the arithmetic of gateway/core/limits.py, in the same doubles and order.
--
-- KEYS  one for each meter; its value is the meter's theoretical arrival time, in Unix seconds
-- ARGV  tolerance (s), how much longer than needed a key is kept (ms), now (s; '' is this server's own time),
--       then count and seconds of each meter's rate
-- Returns the tightest meter (from 1), how many calls it has left, and '0'; or the first that has none, 0, and the wait (s).

local tolerance, keep, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local arrivals, tightest, least = {}, 0, math.huge
for meter, key in ipairs(KEYS) do
  local count, seconds = tonumber(ARGV[2 + 2 * meter]), tonumber(ARGV[3 + 2 * meter])
  local interval = seconds / count
  local burst = math.max(1, math.floor(count / seconds))
  local moved = math.max(tonumber(redis.call('GET', key) or '0'), now) + interval
  local earliest = moved - interval * burst
  if now < earliest - tolerance then
    return {meter, 0, string.format('%.17g', earliest - now)}
  end
  arrivals[meter] = moved
  local remaining = math.min(burst - 1, math.floor(math.max(0, now - earliest + tolerance) / interval))
  if remaining < least then
    tightest, least = meter, remaining
  end
end

-- Nothing was written so far: a meter that has none left leaves the others as they were.
for meter, key in ipairs(KEYS) do
  local full = math.ceil((arrivals[meter] - now) * 1000)
  redis.call('SET', key, string.format('%.17g', arrivals[meter]), 'PX', full + keep)
end
return {tightest, least, '0'}
