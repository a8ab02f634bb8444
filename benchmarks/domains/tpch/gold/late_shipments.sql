SELECT
  l.l_shipmode,
  o.o_orderpriority,
  count(*) AS lines,
  count(*) FILTER (WHERE l.l_receiptdate > l.l_commitdate) AS late,
  avg(CAST(date_diff('day', o.o_orderdate, l.l_shipdate) AS DOUBLE)) AS waited_days,
  l.ship_month
FROM silver.lineitem AS l
JOIN silver.orders AS o ON o.o_orderkey = l.l_orderkey
GROUP BY l.l_shipmode, o.o_orderpriority, l.ship_month
