-- name: better_than_champion
-- severity: critical
-- description: Accuracy on the champion's held-out data is better by half a percentage point, beyond chance.
--
-- The interval of the difference is that of two independent samples; on the same rows it is narrower, so that this asks
-- for more than need be. Without a champion there is nothing to beat. Other metrics: change the two names below.
WITH candidate AS (
    SELECT dataset, value, lower, upper
    FROM evaluation
    WHERE model = $model AND version = $version AND slice IS NULL AND metric = 'accuracy'
),
champion AS (
    SELECT dataset, value, lower, upper
    FROM evaluation
    WHERE model = $model AND version = $champion AND slice IS NULL AND metric = 'accuracy'
),
compared AS (
    SELECT candidate.dataset, candidate.value AS candidate, champion.value AS champion,
           candidate.value - champion.value AS difference,
           candidate.value - champion.value
               - sqrt(power(candidate.value - candidate.lower, 2) + power(champion.upper - champion.value, 2)) AS lower
    FROM candidate
    JOIN champion ON candidate.dataset IS NOT DISTINCT FROM champion.dataset
)
SELECT 'failed' AS verdict, 'it is not better beyond chance' AS reason, dataset, candidate, champion, difference, lower
FROM compared
WHERE lower < 0.005
UNION ALL
SELECT 'inconclusive', 'an accuracy has no interval: tell its n', dataset, candidate, champion, difference, lower
FROM compared
WHERE lower IS NULL
UNION ALL
SELECT 'inconclusive', 'the two were not measured on the same data', NULL, NULL, NULL, NULL, NULL
FROM versions
WHERE model = $model AND version = $champion AND NOT EXISTS (SELECT 1 FROM compared)
