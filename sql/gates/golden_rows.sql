-- name: golden_rows
-- severity: warning
-- needs: golden_rows
-- description: Rows that were logged with their outputs come out the same on the serving runtime.
--
-- Nothing fills this table before the serving worker does; until then the gate is inconclusive, and a warning, so that it
-- holds up nothing. Make it critical where versions are served here.
SELECT "row", output, expected, actual, difference
FROM golden_rows
WHERE model = $model AND version = $version AND NOT matches
