-- name: signature
-- severity: critical
-- needs: nothing
-- description: The inputs that the version was logged with are the features that are monitored, of the same kinds.
--
-- Training-serving skew: a model that asks for other inputs than its callers send answers, but not what it learnt. Of a
-- model that is not monitored there is nothing to compare.
WITH logged AS (
    SELECT feature, kind FROM signature WHERE model = $model AND version = $version
),
monitored AS (
    SELECT feature, kind FROM monitored_schema WHERE model = $model
)
SELECT 'failed' AS verdict, 'it is of another kind' AS reason, monitored.feature, monitored.kind AS monitored,
       logged.kind AS logged
FROM monitored
JOIN logged ON logged.feature = monitored.feature
WHERE logged.kind <> monitored.kind
UNION ALL
SELECT 'failed', 'the version does not ask for it', feature, kind, NULL
FROM monitored
WHERE EXISTS (SELECT 1 FROM logged) AND feature NOT IN (SELECT feature FROM logged)
UNION ALL
SELECT 'failed', 'nobody sends it', feature, NULL, kind
FROM logged
WHERE EXISTS (SELECT 1 FROM monitored) AND feature NOT IN (SELECT feature FROM monitored)
UNION ALL
SELECT 'inconclusive', 'the version was logged without a signature of named columns', NULL, NULL, NULL
FROM models
WHERE model = $model AND EXISTS (SELECT 1 FROM monitored) AND NOT EXISTS (SELECT 1 FROM logged)
