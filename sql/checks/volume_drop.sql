-- name: volume_drop
-- severity: warning
-- segments: no
-- description: A window has less than half the predictions of the four windows before it.
--
-- The four windows must adjoin each other and this one; with a gap or at the start of a stream nothing is usual yet.
-- No segments: a shift between segments is drift, and is reported as such. Traffic that moves to another version or
-- variant, as in a rollout, is no drop: half of what is missing must be missing from the model as a whole. Shadows answer
-- what others answer, too.
WITH this AS (
    SELECT predictions, window_start,
           date_part('epoch', window_end) - date_part('epoch', window_start) AS length
    FROM windows
    WHERE model = $model AND version = $version AND variant = $variant
      AND window_start = $window_start AND window_size = $window_size
      AND segment IS NULL
      AND state = 'closed'
),
before AS (
    SELECT avg(w.predictions) AS usual, count(*) AS neighbours
    FROM windows w
    CROSS JOIN this
    WHERE w.model = $model AND w.version = $version AND w.variant = $variant AND w.segment IS NULL
      AND w.window_size = $window_size AND w.window_start < $window_start
      AND w.state = 'closed'
      AND date_part('epoch', this.window_start) - date_part('epoch', w.window_start)
          IN (this.length, 2 * this.length, 3 * this.length, 4 * this.length)
),
model AS (
    SELECT sum(CASE WHEN w.window_start = this.window_start THEN w.predictions ELSE 0 END) AS predictions,
           sum(CASE WHEN w.window_start < this.window_start THEN w.predictions ELSE 0 END) / 4.0 AS usual
    FROM windows w
    CROSS JOIN this
    WHERE w.model = $model AND w.variant <> 'shadow' AND w.segment IS NULL
      AND w.window_size = $window_size AND w.state = 'closed'
      AND date_part('epoch', this.window_start) - date_part('epoch', w.window_start)
          IN (0, this.length, 2 * this.length, 3 * this.length, 4 * this.length)
)
SELECT this.predictions, before.usual
FROM this
CROSS JOIN before
CROSS JOIN model
WHERE before.neighbours = 4
  AND before.usual >= 100
  AND this.predictions < before.usual / 2
  AND model.usual - model.predictions > (before.usual - this.predictions) / 2
