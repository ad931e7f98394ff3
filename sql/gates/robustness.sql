-- name: robustness
-- severity: critical
-- description: Small perturbations and missing values cost at most five percentage points of accuracy.
--
-- An evaluation tells it as slices robustness:NAME of accuracy, such as robustness:noise and robustness:missing, measured
-- on the same data with that done to it.
WITH plain AS (
    SELECT dataset, value
    FROM evaluation
    WHERE model = $model AND version = $version AND slice IS NULL AND metric = 'accuracy'
),
disturbed AS (
    SELECT e.slice, e.value, plain.value AS undisturbed
    FROM evaluation e
    JOIN plain ON plain.dataset IS NOT DISTINCT FROM e.dataset
    WHERE e.model = $model AND e.version = $version AND e.metric = 'accuracy' AND e.slice LIKE 'robustness:%'
)
SELECT 'failed' AS verdict, 'it loses too much' AS reason, slice, value, undisturbed
FROM disturbed
WHERE value < undisturbed - 0.05
UNION ALL
SELECT 'inconclusive', 'no slice robustness:… was measured', NULL, NULL, NULL
FROM versions
WHERE model = $model AND version = $version AND NOT EXISTS (SELECT 1 FROM disturbed)
