-- name: demographic_parity
-- severity: critical
-- needs: nothing
-- description: Over each protected attribute the lowest share of positive predictions is four fifths of the highest.
--
-- An evaluation tells it as metric demographic_parity_ratio of slice fairness:ATTRIBUTE. Attributes are those of
-- [model.fairness] of the monitored model; without any there is nothing to ask.
SELECT 'failed' AS verdict, 'the shares are too far apart' AS reason, slice, value
FROM evaluation
WHERE model = $model AND version = $version AND metric = 'demographic_parity_ratio'
  AND slice LIKE 'fairness:%' AND value < 0.8
UNION ALL
SELECT 'inconclusive', 'a protected attribute was not measured', 'fairness:' || feature, NULL
FROM monitored_schema
WHERE model = $model AND protected
  AND 'fairness:' || feature NOT IN (
      SELECT slice
      FROM evaluation
      WHERE model = $model AND version = $version AND metric = 'demographic_parity_ratio' AND slice IS NOT NULL
  )
