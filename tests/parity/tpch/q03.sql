WITH open_orders AS (
  SELECT l.l_orderkey, o.o_orderdate, o.o_shippriority,
    sum(l.l_extendedprice * (1 - l.l_discount)) AS revenue
  FROM silver.customer AS c
  JOIN silver.orders AS o ON o.o_custkey = c.c_custkey
  JOIN silver.lineitem AS l ON l.l_orderkey = o.o_orderkey
  WHERE c.c_mktsegment = 'BUILDING'
    AND o.o_orderdate < DATE '1995-03-15' AND l.l_shipdate > DATE '1995-03-15'
  GROUP BY l.l_orderkey, o.o_orderdate, o.o_shippriority
)
SELECT l_orderkey, revenue, o_orderdate, o_shippriority
FROM open_orders
QUALIFY row_number() OVER (
  ORDER BY revenue DESC, o_orderdate, l_orderkey, o_shippriority) <= 10
