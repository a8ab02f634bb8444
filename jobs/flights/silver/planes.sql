WITH typed AS (
  SELECT
    tailnum,
    TRY_CAST(regexp_extract(year, '^[0-9]+$') AS INTEGER) AS built_year,
    type, manufacturer, model,
    TRY_CAST(regexp_extract(engines, '^[0-9]+$') AS INTEGER) AS engine_count,
    TRY_CAST(regexp_extract(seats, '^[0-9]+$') AS INTEGER) AS seat_count,
    engine,
    year, engines, seats,
    -- A row without a key supersedes nothing: it goes to quarantine by itself.
    coalesce(tailnum, concat_ws(':', _source_file, CAST(_row AS VARCHAR))) AS identity,
    _landed_at, _source_file, _row
  FROM bronze.planes
)
SELECT
  tailnum, built_year, type, manufacturer, model,
  engine_count AS engines,
  seat_count AS seats,
  engine,
  nullif(concat_ws(', ',
    CASE WHEN year IS NOT NULL AND built_year IS NULL THEN 'year' END,
    CASE WHEN engines IS NOT NULL AND engine_count IS NULL THEN 'engines' END,
    CASE WHEN seats IS NOT NULL AND seat_count IS NULL THEN 'seats' END), '') AS unreadable,
  _source_file, _row
FROM typed
QUALIFY row_number() OVER (
  PARTITION BY identity ORDER BY _landed_at DESC, _source_file DESC, _row DESC) = 1
