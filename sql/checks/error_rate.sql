-- name: error_rate
-- severity: critical
-- description: More than 1 % of the predictions carry an error.
SELECT predictions, errors, CAST(errors AS DOUBLE) / predictions AS share
FROM windows
WHERE model = $model AND version = $version AND variant = $variant
  AND window_start = $window_start AND window_size = $window_size
  -- Whole population only: the segments of a failing service fail with it.
  AND segment IS NULL AND $segment IS NULL
  AND state = 'closed' AND predictions >= 100
  AND errors > 0.01 * predictions
  -- One or two errors in a small window are noise.
  AND errors >= 10
