WITH digits AS (
  SELECT
    *,
    TRY_CAST(regexp_extract(flight, '^[0-9]+$') AS INTEGER) AS flight_number,
    TRY_CAST(regexp_extract(sched_dep_time, '^([01]?[0-9]|2[0-3])[0-5][0-9]$|^[0-5]?[0-9]$|^2400$') AS INTEGER) AS sched_dep_hhmm,
    TRY_CAST(regexp_extract(sched_arr_time, '^([01]?[0-9]|2[0-3])[0-5][0-9]$|^[0-5]?[0-9]$|^2400$') AS INTEGER) AS sched_arr_hhmm,
    TRY_CAST(regexp_extract(dep_delay, '^-?[0-9]+$') AS INTEGER) AS dep_delay_min,
    TRY_CAST(regexp_extract(arr_delay, '^-?[0-9]+$') AS INTEGER) AS arr_delay_min,
    TRY_CAST(regexp_extract(air_time, '^[0-9]+$') AS INTEGER) AS air_time_min,
    TRY_CAST(regexp_extract(distance, '^[0-9]+$') AS INTEGER) AS distance_mi,
    TRY_CAST(regexp_extract(year || '-' || month || '-' || day, '^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$') AS DATE) AS flight_date
  FROM bronze.flights
), keyed AS (
  SELECT
    *,
    -- NULL where a part is missing: such a row supersedes nothing, it goes to quarantine.
    CAST(flight_date AS VARCHAR) || '-' || carrier
      || '-' || CAST(flight_number AS VARCHAR) || '-' || origin || '-' || dest AS flight_id
  FROM digits
), latest AS (
  SELECT *
  FROM keyed
  QUALIFY row_number() OVER (
    PARTITION BY flight_month,
      coalesce(flight_id, concat_ws(':', _source_file, CAST(_row AS VARCHAR)))
    ORDER BY _landed_at DESC, _source_file DESC, _row DESC) = 1
), zoned AS (
  SELECT
    f.*,
    CAST(f.flight_date AS TIMESTAMP)
      + f.sched_dep_hhmm // 100 * INTERVAL '1' HOUR
      + f.sched_dep_hhmm % 100 * INTERVAL '1' MINUTE AS sched_dep_local,
    CAST(f.flight_date AS TIMESTAMP)
      + f.sched_arr_hhmm // 100 * INTERVAL '1' HOUR
      + f.sched_arr_hhmm % 100 * INTERVAL '1' MINUTE AS sched_arr_local,
    o.timezone AS origin_zone,
    -- The airports of Puerto Rico and the Virgin Islands are not in the source's list.
    coalesce(d.timezone,
      CASE WHEN f.dest IN ('BQN', 'PSE', 'SJU', 'STT') THEN 'America/Puerto_Rico' END) AS dest_zone
  FROM latest AS f
  LEFT JOIN silver.airports AS o ON o.airport = f.origin
  LEFT JOIN silver.airports AS d ON d.airport = f.dest
), scheduled AS (
  SELECT
    *,
    to_utc_timestamp(sched_dep_local, origin_zone) AS sched_dep_ts,
    -- A clock at the destination that is not after the departure is the next day's.
    CASE
      WHEN to_utc_timestamp(sched_arr_local, dest_zone) > to_utc_timestamp(sched_dep_local, origin_zone)
      THEN to_utc_timestamp(sched_arr_local, dest_zone)
      ELSE to_utc_timestamp(sched_arr_local + INTERVAL '1' DAY, dest_zone)
    END AS sched_arr_ts
  FROM zoned
)
SELECT
  flight_id, flight_date, carrier, flight_number, tailnum, origin, dest, distance_mi,
  sched_dep_ts, sched_arr_ts,
  sched_dep_ts + dep_delay_min * INTERVAL '1' MINUTE AS dep_ts,
  sched_arr_ts + arr_delay_min * INTERVAL '1' MINUTE AS arr_ts,
  dep_delay_min, arr_delay_min, air_time_min,
  dep_time IS NULL AS is_cancelled,
  dep_time IS NOT NULL AND arr_delay IS NULL AS is_diverted,
  nullif(concat_ws(', ',
    CASE WHEN dep_delay IS NOT NULL AND dep_delay_min IS NULL THEN 'dep_delay' END,
    CASE WHEN arr_delay IS NOT NULL AND arr_delay_min IS NULL THEN 'arr_delay' END,
    CASE WHEN air_time IS NOT NULL AND air_time_min IS NULL THEN 'air_time' END), '') AS unreadable,
  _source_file, _row, flight_month
FROM scheduled
