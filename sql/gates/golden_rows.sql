-- name: golden_rows
-- severity: critical
-- needs: nothing
-- description: Rows that were logged with their outputs come out the same on the serving runtime.
--
-- A version without golden rows has nothing to reproduce; write 'needs: golden_rows' to ask for some. Rows that could not
-- be run, as where the process that runs the gates has no ONNX Runtime, decide nothing.
SELECT CASE WHEN actual IS NULL THEN 'inconclusive' ELSE 'failed' END AS verdict,
       CASE WHEN actual IS NULL THEN 'this process cannot run the model: give it the role serve and ONNX Runtime'
            ELSE 'the model answers something else' END AS reason,
       "row", output, expected, actual, difference
FROM golden_rows
WHERE model = $model AND version = $version AND NOT matches
