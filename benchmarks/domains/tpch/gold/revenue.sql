SELECT
  l_suppkey,
  count(*) AS lines,
  sum(l_quantity) AS quantity,
  sum(revenue) AS revenue,
  ship_month
FROM silver.lineitem
GROUP BY l_suppkey, ship_month
