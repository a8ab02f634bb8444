WITH typed AS (
  SELECT
    faa AS airport,
    name,
    TRY_CAST(regexp_extract(lat, '^-?[0-9]+([.][0-9]+)?$') AS DOUBLE) AS lat_deg,
    TRY_CAST(regexp_extract(lon, '^-?[0-9]+([.][0-9]+)?$') AS DOUBLE) AS lon_deg,
    TRY_CAST(regexp_extract(alt, '^-?[0-9]+([.][0-9]+)?$') AS DOUBLE) AS elevation_ft,
    tzone AS timezone,
    alt,
    -- A row without a key supersedes nothing: it goes to quarantine by itself.
    coalesce(faa, concat_ws(':', _source_file, CAST(_row AS VARCHAR))) AS identity,
    _landed_at, _source_file, _row
  FROM bronze.airports
)
SELECT
  airport, name, lat_deg, lon_deg, elevation_ft, timezone,
  CASE WHEN alt IS NOT NULL AND elevation_ft IS NULL THEN 'alt' END AS unreadable,
  _source_file, _row
FROM typed
QUALIFY row_number() OVER (
  PARTITION BY identity ORDER BY _landed_at DESC, _source_file DESC, _row DESC) = 1
