-- name: no_worse_slice
-- severity: critical
-- description: On no slice of the data is accuracy more than two percentage points below the champion's, beyond chance.
--
-- Slices that were measured without n are compared without their intervals. Slices of robustness have a gate of their own.
WITH candidate AS (
    SELECT dataset, slice, value, coalesce(upper, value) AS upper
    FROM evaluation
    WHERE model = $model AND version = $version AND metric = 'accuracy'
      AND slice IS NOT NULL AND slice NOT LIKE 'robustness:%'
),
champion AS (
    SELECT dataset, slice, value, coalesce(lower, value) AS lower
    FROM evaluation
    WHERE model = $model AND version = $champion AND metric = 'accuracy' AND slice IS NOT NULL
),
compared AS (
    SELECT candidate.slice, candidate.value AS candidate, champion.value AS champion,
           candidate.value - champion.value AS difference,
           candidate.value - champion.value
               + sqrt(power(candidate.upper - candidate.value, 2) + power(champion.value - champion.lower, 2)) AS upper
    FROM candidate
    JOIN champion
      ON candidate.slice = champion.slice AND candidate.dataset IS NOT DISTINCT FROM champion.dataset
)
SELECT 'failed' AS verdict, 'it is worse than the champion' AS reason, slice, candidate, champion, difference
FROM compared
WHERE difference < -0.02 AND upper < 0
UNION ALL
SELECT 'inconclusive', 'no slice was measured of both', NULL, NULL, NULL, NULL
FROM versions
WHERE model = $model AND version = $champion AND NOT EXISTS (SELECT 1 FROM compared)
