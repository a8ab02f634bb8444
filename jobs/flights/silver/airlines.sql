WITH named AS (
  SELECT
    carrier,
    name,
    -- A row without a key supersedes nothing: it goes to quarantine by itself.
    coalesce(carrier, concat_ws(':', _source_file, CAST(_row AS VARCHAR))) AS identity,
    _landed_at, _source_file, _row
  FROM bronze.airlines
)
SELECT carrier, name, _source_file, _row
FROM named
QUALIFY row_number() OVER (
  PARTITION BY identity ORDER BY _landed_at DESC, _source_file DESC, _row DESC) = 1
