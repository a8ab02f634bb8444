WITH observed AS (
  SELECT
    origin,
    -- Of the two hours named 1 in November only the UTC time of the source tells them apart;
    -- the local time must agree with it, else the row goes to quarantine.
    CASE
      WHEN extract(year FROM from_utc_timestamp(time_hour, 'America/New_York')) = year
        AND extract(month FROM from_utc_timestamp(time_hour, 'America/New_York')) = month
        AND extract(day FROM from_utc_timestamp(time_hour, 'America/New_York')) = day
        AND extract(hour FROM from_utc_timestamp(time_hour, 'America/New_York')) = hour
      THEN time_hour
    END AS obs_ts,
    temp AS temp_f,
    dewp AS dewp_f,
    humid AS humid_pct,
    wind_dir AS wind_dir_deg,
    wind_speed AS wind_mph,
    wind_gust AS gust_mph,
    precip AS precip_in,
    pressure AS pressure_mb,
    visib AS visib_mi,
    obs_month,
    _landed_at, _source_file, _row
  FROM bronze.weather
)
SELECT
  origin, obs_ts, temp_f, dewp_f, humid_pct, wind_dir_deg, wind_mph, gust_mph, precip_in,
  pressure_mb, visib_mi, _source_file, _row, obs_month
FROM observed
QUALIFY row_number() OVER (
  PARTITION BY obs_month, origin, obs_ts,
    CASE WHEN origin IS NULL OR obs_ts IS NULL
      THEN concat_ws(':', _source_file, CAST(_row AS VARCHAR)) END
  ORDER BY _landed_at DESC, _source_file DESC, _row DESC) = 1
