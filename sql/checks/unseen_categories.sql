-- name: unseen_categories
-- severity: warning
-- segments: no
-- description: More than 5 % of a feature's values are categories that the reference does not know.
--
-- The model has never learnt what to do with them. No segments: one cause, one alert.
SELECT f.feature, f.unseen, w.predictions, CAST(f.unseen AS DOUBLE) / w.predictions AS share
FROM features f
JOIN windows w
  ON w.model = f.model AND w.version = f.version AND w.variant = f.variant
 AND w.window_start = f.window_start AND w.window_size = f.window_size
WHERE f.model = $model AND f.version = $version AND f.variant = $variant
  AND f.window_start = $window_start AND f.window_size = $window_size
  AND f.segment IS NULL AND w.segment IS NULL
  AND f.kind = 'categorical'
  AND w.state = 'closed' AND w.predictions >= 100
  AND f.unseen > 0.05 * w.predictions
ORDER BY share DESC
