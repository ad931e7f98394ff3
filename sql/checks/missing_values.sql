-- name: missing_values
-- severity: warning
-- segments: no
-- description: A feature is missing in more than 5 % of a window, and more often than before.
--
-- A feature that has always been sparse is healthy: the share must also be more than twice the lowest share of the
-- earlier windows, if there are any. No segments: one broken feature is one alert, not one per segment.
WITH shares AS (
    SELECT f.window_start, f.feature, f.missing, w.predictions,
           CAST(f.missing AS DOUBLE) / w.predictions AS share
    FROM features f
    JOIN windows w
      ON w.model = f.model AND w.version = f.version AND w.variant = f.variant
     AND w.window_start = f.window_start AND w.window_size = f.window_size
    WHERE f.model = $model AND f.version = $version AND f.variant = $variant AND f.window_size = $window_size
      AND f.segment IS NULL AND w.segment IS NULL
      AND f.window_start <= $window_start AND w.window_start <= $window_start
      AND w.state = 'closed' AND w.predictions >= 100
      -- A model that gives no score, or fails, is not a feature that went missing.
      AND f.feature NOT LIKE 'prediction.%'
),
before AS (
    SELECT feature, min(share) AS lowest
    FROM shares
    WHERE window_start < $window_start
    GROUP BY feature
)
SELECT now.feature, now.missing, now.predictions, now.share, before.lowest AS lowest_share_before
FROM shares now
LEFT JOIN before ON before.feature = now.feature
WHERE now.window_start = $window_start
 
  AND now.share > 0.05
  AND now.share > 2 * coalesce(before.lowest, 0)
ORDER BY now.share DESC
