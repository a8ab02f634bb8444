WITH revenue AS (
  SELECT l_suppkey AS supplier_no, sum(l_extendedprice * (1 - l_discount)) AS total_revenue
  FROM silver.lineitem
  WHERE l_shipdate >= DATE '1996-01-01'
    AND l_shipdate < CAST(DATE '1996-01-01' + INTERVAL '3' MONTH AS DATE)
  GROUP BY l_suppkey
)
SELECT s.s_suppkey, s.s_name, s.s_address, s.s_phone, r.total_revenue
FROM silver.supplier AS s
JOIN revenue AS r ON r.supplier_no = s.s_suppkey
QUALIFY rank() OVER (ORDER BY r.total_revenue DESC) = 1
