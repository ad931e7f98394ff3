-- name: invalid_values
-- severity: critical
-- segments: no
-- description: More than 1 % of a feature's values have the wrong type: somebody changed the events.
--
-- No segments: one broken feature is one alert, not one per segment.
SELECT f.feature, f.invalid, w.predictions, CAST(f.invalid AS DOUBLE) / w.predictions AS share
FROM features f
JOIN windows w
  ON w.model = f.model AND w.version = f.version AND w.variant = f.variant
 AND w.window_start = f.window_start AND w.window_size = f.window_size
WHERE f.model = $model AND f.version = $version AND f.variant = $variant
  AND f.window_start = $window_start AND f.window_size = $window_size
  AND f.segment IS NULL AND w.segment IS NULL
  AND w.state = 'closed' AND w.predictions >= 100
  AND f.invalid > 0.01 * w.predictions
  -- A handful of bad rows in a small window is noise.
  AND f.invalid >= 10
ORDER BY share DESC
