-- name: latency_p99
-- severity: warning
-- segments: no
-- description: One prediction in a hundred takes longer than a second.
SELECT predictions, latency_p50_ms, latency_p95_ms, latency_p99_ms
FROM windows
WHERE model = $model AND version = $version AND variant = $variant
  AND window_start = $window_start AND window_size = $window_size
  AND segment IS NULL
  -- With fewer predictions the 99th percentile is one or two outliers.
  AND state = 'closed' AND predictions >= 500
  AND latency_p99_ms > 1000
