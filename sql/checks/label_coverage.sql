-- name: label_coverage
-- severity: warning
-- segments: no
-- description: Fewer than half of the predictions of five weeks ago have an outcome, though later ones do.
--
-- Looks back from this window to the newest one that ended 35 days before it. That a later window has its labels shows
-- that the feed is not merely late, or still being read: it lost some.
WITH old AS (
    SELECT window_start, window_end, predictions, outcomes, label_coverage
    FROM windows
    WHERE model = $model AND version = $version AND variant = $variant AND window_size = $window_size
      AND segment IS NULL
      AND window_end <= $window_end - INTERVAL '35 days'
      AND state = 'closed' AND predictions >= 100
    ORDER BY window_end DESC
    LIMIT 1
)
SELECT old.window_start AS labels_missing_from, old.window_end AS labels_missing_to,
       old.predictions, old.outcomes, old.label_coverage
FROM old
WHERE old.label_coverage < 0.5
  AND EXISTS (
      SELECT 1
      FROM windows later
      WHERE later.model = $model AND later.version = $version AND later.variant = $variant
        AND later.window_size = $window_size AND later.segment IS NULL
        AND later.window_start >= old.window_end
        AND later.predictions >= 100 AND later.label_coverage >= 0.8
  )
