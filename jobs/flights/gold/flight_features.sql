-- Each flight as it could be predicted 60 minutes before its scheduled departure ("when asked").
-- A departure counts from the minute it happened, an arrival likewise; a cancellation never does:
-- such a flight is only overdue. The label alone looks ahead.
WITH flight AS (
  SELECT
    *,
    -- Minutes since 2000 in UTC: whole numbers compare and subtract alike on every engine.
    date_diff('day', DATE '2000-01-01', CAST(sched_dep_ts AS DATE)) * 1440
      + extract(hour FROM sched_dep_ts) * 60 + extract(minute FROM sched_dep_ts) AS sched_minute,
    date_diff('day', DATE '2000-01-01', CAST(sched_arr_ts AS DATE)) * 1440
      + extract(hour FROM sched_arr_ts) * 60 + extract(minute FROM sched_arr_ts) AS due_minute,
    sched_dep_ts - INTERVAL '60' MINUTE AS asked_ts,
    from_utc_timestamp(sched_dep_ts, 'America/New_York') AS sched_dep_local,
    CAST(from_utc_timestamp(sched_dep_ts - INTERVAL '60' MINUTE, 'America/New_York') AS DATE) AS asked_date,
    -- An arrival more than a day late is left out of the rates, which keeps them within the lookback.
    CASE
      WHEN date_diff('day', flight_date, CAST(from_utc_timestamp(arr_ts, 'America/New_York') AS DATE)) <= 1
      THEN CAST(from_utc_timestamp(arr_ts, 'America/New_York') AS DATE)
    END AS arrived_date,
    CASE WHEN dep_delay_min >= 15 THEN 1 ELSE 0 END AS departed_late,
    CASE WHEN arr_delay_min >= 15 THEN 1 ELSE 0 END AS arrived_late,
    concat_ws('-', carrier, origin) AS carrier_origin,
    concat_ws('-', origin, dest) AS route
  FROM silver.flights
), timed AS (
  SELECT
    *,
    sched_minute - 60 AS asked_minute,
    sched_minute + dep_delay_min AS dep_minute,
    due_minute + arr_delay_min AS arr_minute,
    (sched_minute - 60) // 5 AS asked_slot,
    (sched_minute + 4) // 5 AS sched_slot,
    (sched_minute + dep_delay_min + 4) // 5 AS dep_slot,
    (due_minute + arr_delay_min + 4) // 5 AS arr_slot
  FROM flight
),
-- Recent hours. Every fact enters a running total when it becomes known and leaves it when it is
-- too old, so the total at the time asked is that of the hours before. Facts are posted at the end
-- of each five minutes: a slot is the number of five minutes since 2000.
departure_change AS (
  SELECT origin, carrier, carrier_origin, dep_slot AS slot,
    1 AS departed, departed_late, dep_delay_min AS dep_delay, 0 AS overdue, 0 AS overdue_since, 0 AS asked
  FROM timed WHERE dep_minute IS NOT NULL
  UNION ALL
  SELECT origin, carrier, carrier_origin, dep_slot + 36, -1, -departed_late, -dep_delay_min, 0, 0, 0
  FROM timed WHERE dep_minute IS NOT NULL
  UNION ALL
  SELECT origin, carrier, carrier_origin, sched_slot, 0, 0, 0, 1, sched_minute, 0
  FROM timed WHERE dep_minute IS NULL OR dep_slot > sched_slot
  UNION ALL
  -- A flight that has not left four hours after schedule is no longer waited for.
  SELECT origin, carrier, carrier_origin, least(dep_slot, sched_slot + 48), 0, 0, 0, -1, -sched_minute, 0
  FROM timed WHERE dep_minute IS NULL OR dep_slot > sched_slot
  UNION ALL
  SELECT origin, carrier, carrier_origin, asked_slot, 0, 0, 0, 0, 0, 1
  FROM timed
), departure_change_by_slot AS (
  SELECT 'origin' AS scope, origin AS member, slot, max(asked) AS asked,
    CAST(sum(departed) AS DOUBLE) AS departed,
    CAST(sum(departed_late) AS DOUBLE) AS departed_late,
    CAST(sum(dep_delay) AS DOUBLE) AS dep_delay,
    CAST(sum(overdue) AS DOUBLE) AS overdue,
    CAST(sum(overdue_since) AS DOUBLE) AS overdue_since
  FROM departure_change GROUP BY origin, slot
  UNION ALL
  SELECT 'carrier', carrier, slot, max(asked),
    CAST(sum(departed) AS DOUBLE), CAST(sum(departed_late) AS DOUBLE), CAST(sum(dep_delay) AS DOUBLE),
    CAST(sum(overdue) AS DOUBLE), CAST(sum(overdue_since) AS DOUBLE)
  FROM departure_change GROUP BY carrier, slot
  UNION ALL
  SELECT 'carrier at origin', carrier_origin, slot, max(asked),
    CAST(sum(departed) AS DOUBLE), CAST(sum(departed_late) AS DOUBLE), CAST(sum(dep_delay) AS DOUBLE),
    CAST(sum(overdue) AS DOUBLE), CAST(sum(overdue_since) AS DOUBLE)
  FROM departure_change GROUP BY carrier_origin, slot
), departures_so_far AS (
  SELECT scope, member, slot, asked,
    sum(departed) OVER so_far AS departed,
    sum(departed_late) OVER so_far AS departed_late,
    sum(dep_delay) OVER so_far AS dep_delay,
    sum(overdue) OVER so_far AS overdue,
    sum(overdue_since) OVER so_far AS overdue_since
  FROM departure_change_by_slot
  WINDOW so_far AS (PARTITION BY scope, member ORDER BY slot
    RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
), departures_known AS (
  SELECT scope, member, slot,
    departed_late / nullif(departed, 0) AS late_share,
    dep_delay / nullif(departed, 0) AS mean_delay,
    CAST(floor(overdue) AS INTEGER) AS overdue,
    overdue * slot * 5 - overdue_since AS overdue_min
  FROM departures_so_far
  WHERE asked = 1
), arrival_change AS (
  SELECT dest, arr_slot AS slot, 1 AS arrived, arr_delay_min AS arr_delay, 0 AS asked
  FROM timed WHERE arr_minute IS NOT NULL
  UNION ALL
  SELECT dest, arr_slot + 72, -1, -arr_delay_min, 0
  FROM timed WHERE arr_minute IS NOT NULL
  UNION ALL
  SELECT dest, asked_slot, 0, 0, 1
  FROM timed
), arrival_change_by_slot AS (
  SELECT dest, slot, max(asked) AS asked,
    CAST(sum(arrived) AS DOUBLE) AS arrived,
    CAST(sum(arr_delay) AS DOUBLE) AS arr_delay
  FROM arrival_change GROUP BY dest, slot
), arrivals_so_far AS (
  SELECT dest, slot, asked,
    sum(arrived) OVER so_far AS arrived,
    sum(arr_delay) OVER so_far AS arr_delay
  FROM arrival_change_by_slot
  WINDOW so_far AS (PARTITION BY dest ORDER BY slot
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
), arrivals_known AS (
  SELECT dest, slot, arr_delay / nullif(arrived, 0) AS mean_delay
  FROM arrivals_so_far
  WHERE asked = 1
),
-- The aircraft: what was last heard of it, departures before arrivals before the question.
aircraft_news AS (
  SELECT tailnum, dep_minute AS minute_no, 1 AS step, flight_id,
    dep_minute, dep_delay_min, dep_minute + 2 * (due_minute - sched_minute) AS back_minute,
    CAST(NULL AS BIGINT) AS arr_minute, CAST(NULL AS INTEGER) AS arr_delay_min
  FROM timed WHERE tailnum IS NOT NULL AND dep_minute IS NOT NULL
  UNION ALL
  SELECT tailnum, arr_minute, 2, flight_id, NULL, NULL, NULL, arr_minute, arr_delay_min
  FROM timed WHERE tailnum IS NOT NULL AND arr_minute IS NOT NULL
  UNION ALL
  SELECT tailnum, asked_minute, 3, flight_id, NULL, NULL, NULL, NULL, NULL
  FROM timed WHERE tailnum IS NOT NULL
), aircraft_known AS (
  SELECT flight_id, step,
    last_value(dep_minute IGNORE NULLS) OVER heard AS dep_minute,
    last_value(dep_delay_min IGNORE NULLS) OVER heard AS dep_delay_min,
    last_value(back_minute IGNORE NULLS) OVER heard AS back_minute,
    last_value(arr_minute IGNORE NULLS) OVER heard AS arr_minute,
    last_value(arr_delay_min IGNORE NULLS) OVER heard AS arr_delay_min
  FROM aircraft_news
  WINDOW heard AS (PARTITION BY tailnum ORDER BY minute_no, step, flight_id
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
), aircraft AS (
  SELECT * FROM aircraft_known WHERE step = 3
),
hour_load AS (
  SELECT origin, date_trunc('hour', sched_dep_ts) AS hour_ts, CAST(count(*) AS INTEGER) AS flights
  FROM timed GROUP BY origin, date_trunc('hour', sched_dep_ts)
),
-- Rates over the 28 days before the day asked, from arrivals of complete days.
outcome AS (
  SELECT 'route' AS scope, route AS member, arrived_date AS known_date, 1 AS arrived, arrived_late, arr_delay_min
  FROM timed WHERE arrived_date IS NOT NULL
  UNION ALL
  SELECT 'carrier', carrier, arrived_date, 1, arrived_late, arr_delay_min
  FROM timed WHERE arrived_date IS NOT NULL
  UNION ALL
  SELECT 'origin', origin, arrived_date, 1, arrived_late, arr_delay_min
  FROM timed WHERE arrived_date IS NOT NULL
  UNION ALL
  SELECT 'route', route, asked_date, 0, 0, 0 FROM timed
  UNION ALL
  SELECT 'carrier', carrier, asked_date, 0, 0, 0 FROM timed
  UNION ALL
  SELECT 'origin', origin, asked_date, 0, 0, 0 FROM timed
), outcome_by_day AS (
  SELECT scope, member, known_date, date_diff('day', DATE '2000-01-01', known_date) AS day_no,
    CAST(sum(arrived) AS DOUBLE) AS arrived,
    CAST(sum(arrived_late) AS DOUBLE) AS arrived_late,
    CAST(sum(arr_delay_min) AS DOUBLE) AS arr_delay
  FROM outcome
  GROUP BY scope, member, known_date
), rate AS (
  SELECT scope, member, known_date,
    sum(arrived_late) OVER days28 / nullif(sum(arrived) OVER days28, 0) AS late28,
    sum(arr_delay) OVER days28 / nullif(sum(arrived) OVER days28, 0) AS delay28
  FROM outcome_by_day
  WINDOW days28 AS (PARTITION BY scope, member ORDER BY day_no
    RANGE BETWEEN 28 PRECEDING AND 1 PRECEDING)
),
-- Weather: in each hour the latest observation of that hour or the three before.
weather_reach AS (
  SELECT w.*, h.hours, w.obs_ts + h.hours * INTERVAL '1' HOUR AS hour_ts
  FROM silver.weather AS w
  CROSS JOIN (SELECT unnest([0, 1, 2, 3]) AS hours) AS h
), weather_by_hour AS (
  SELECT *
  FROM weather_reach
  QUALIFY row_number() OVER (PARTITION BY origin, hour_ts ORDER BY obs_ts DESC, hours) = 1
)
SELECT
  f.flight_id, f.flight_date, f.sched_dep_ts, f.asked_ts,
  f.carrier, f.origin, f.dest, f.tailnum,
  CAST(extract(hour FROM f.sched_dep_local) * 60 + extract(minute FROM f.sched_dep_local) AS INTEGER)
    AS dep_minute_of_day,
  CAST(extract(hour FROM f.sched_dep_local) AS INTEGER) AS dep_hour,
  CAST(isodow(f.flight_date) AS INTEGER) AS dep_isodow,
  CAST(f.due_minute - f.sched_minute AS INTEGER) AS block_min,
  f.distance_mi,
  h.flights AS origin_flights_in_hour,
  w.temp_f, w.dewp_f, w.humid_pct, w.wind_dir_deg, w.wind_mph, w.gust_mph, w.precip_in,
  w.pressure_mb, w.visib_mi,
  o.late_share AS origin_late_share_3h,
  o.mean_delay AS origin_dep_delay_3h_min,
  o.overdue AS origin_overdue,
  o.overdue_min AS origin_overdue_min,
  c.late_share AS carrier_late_share_3h,
  c.mean_delay AS carrier_dep_delay_3h_min,
  c.overdue AS carrier_overdue,
  co.late_share AS carrier_origin_late_share_3h,
  co.mean_delay AS carrier_origin_dep_delay_3h_min,
  co.overdue AS carrier_origin_overdue,
  d.mean_delay AS dest_arr_delay_6h_min,
  CASE WHEN a.dep_minute >= f.asked_minute - 4320 THEN a.dep_delay_min END AS aircraft_dep_delay_min,
  CASE WHEN a.dep_minute >= f.asked_minute - 4320 THEN CAST(f.asked_minute - a.dep_minute AS INTEGER) END
    AS aircraft_since_dep_min,
  CASE WHEN a.dep_minute >= f.asked_minute - 4320 THEN CAST(f.sched_minute - a.back_minute AS INTEGER) END
    AS aircraft_slack_min,
  CASE WHEN a.arr_minute >= f.asked_minute - 4320 THEN a.arr_delay_min END AS aircraft_arr_delay_min,
  rr.late28 AS route_late28,
  rr.delay28 AS route_delay28_min,
  rc.late28 AS carrier_late28,
  ro.late28 AS origin_late28,
  CAST(extract(year FROM f.flight_date) - p.built_year AS INTEGER) AS plane_age_years,
  p.seats AS plane_seats,
  CASE WHEN f.arr_delay_min IS NOT NULL THEN f.arrived_late END AS label_late15,
  f.flight_month
FROM timed AS f
LEFT JOIN hour_load AS h ON h.origin = f.origin AND h.hour_ts = date_trunc('hour', f.sched_dep_ts)
LEFT JOIN departures_known AS o
  ON o.scope = 'origin' AND o.member = f.origin AND o.slot = f.asked_slot
LEFT JOIN departures_known AS c
  ON c.scope = 'carrier' AND c.member = f.carrier AND c.slot = f.asked_slot
LEFT JOIN departures_known AS co
  ON co.scope = 'carrier at origin' AND co.member = f.carrier_origin AND co.slot = f.asked_slot
LEFT JOIN arrivals_known AS d ON d.dest = f.dest AND d.slot = f.asked_slot
LEFT JOIN aircraft AS a ON a.flight_id = f.flight_id
LEFT JOIN rate AS rr ON rr.scope = 'route' AND rr.member = f.route AND rr.known_date = f.asked_date
LEFT JOIN rate AS rc ON rc.scope = 'carrier' AND rc.member = f.carrier AND rc.known_date = f.asked_date
LEFT JOIN rate AS ro ON ro.scope = 'origin' AND ro.member = f.origin AND ro.known_date = f.asked_date
LEFT JOIN weather_by_hour AS w ON w.origin = f.origin AND w.hour_ts = date_trunc('hour', f.asked_ts)
LEFT JOIN silver.planes AS p ON p.tailnum = f.tailnum
