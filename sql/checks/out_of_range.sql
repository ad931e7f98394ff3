-- name: out_of_range
-- severity: critical
-- segments: no
-- description: Most values of a feature lie outside the reference's range: a changed unit or a swapped column.
--
-- Drift pushes a tail over the edge of the reference; only half of all values beyond it says more than drift does.
SELECT f.feature, f.out_of_range, w.predictions, CAST(f.out_of_range AS DOUBLE) / w.predictions AS share,
       f.min, f.p50, f.max
FROM features f
JOIN windows w
  ON w.model = f.model AND w.version = f.version AND w.variant = f.variant
 AND w.window_start = f.window_start AND w.window_size = f.window_size
WHERE f.model = $model AND f.version = $version AND f.variant = $variant
  AND f.window_start = $window_start AND f.window_size = $window_size
  AND f.segment IS NULL AND w.segment IS NULL
  AND w.state = 'closed' AND w.predictions >= 100
  AND f.out_of_range > 0.5 * w.predictions
ORDER BY share DESC
