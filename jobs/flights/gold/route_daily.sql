SELECT
  origin, dest, flight_date,
  CAST(count(*) AS INTEGER) AS flights,
  CAST(count(*) FILTER (WHERE is_cancelled) AS INTEGER) AS cancelled,
  CAST(count(*) FILTER (WHERE is_diverted) AS INTEGER) AS diverted,
  CAST(count(*) FILTER (WHERE arr_delay_min >= 15) AS INTEGER) AS late15,
  CAST(count(*) FILTER (WHERE arr_delay_min >= 15) AS DOUBLE) / nullif(count(arr_delay_min), 0) AS late_share,
  avg(dep_delay_min) AS mean_dep_delay_min,
  avg(arr_delay_min) AS mean_arr_delay_min,
  median(arr_delay_min) AS median_arr_delay_min,
  max(arr_delay_min) AS max_arr_delay_min,
  flight_month
FROM silver.flights
GROUP BY origin, dest, flight_date, flight_month
