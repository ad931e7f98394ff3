-- name: error_rate
-- severity: critical
-- segments: no
-- description: More than 1 % of the predictions carry an error.
--
-- No segments: those of a failing service fail with it.
SELECT predictions, errors, CAST(errors AS DOUBLE) / predictions AS share
FROM windows
WHERE model = $model AND version = $version AND variant = $variant
  AND window_start = $window_start AND window_size = $window_size
  AND segment IS NULL
  AND state = 'closed' AND predictions >= 100
  AND errors > 0.01 * predictions
  -- One or two errors in a small window are noise.
  AND errors >= 10
