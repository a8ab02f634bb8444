WITH waiting AS (
  SELECT s.s_name, count(*) AS numwait
  FROM silver.supplier AS s
  JOIN silver.lineitem AS l1 ON l1.l_suppkey = s.s_suppkey
  JOIN silver.orders AS o ON o.o_orderkey = l1.l_orderkey
  JOIN silver.nation AS n ON n.n_nationkey = s.s_nationkey
  WHERE o.o_orderstatus = 'F' AND l1.l_receiptdate > l1.l_commitdate AND n.n_name = 'SAUDI ARABIA'
    AND EXISTS (
      SELECT 1 FROM silver.lineitem AS l2
      WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey)
    AND NOT EXISTS (
      SELECT 1 FROM silver.lineitem AS l3
      WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey
        AND l3.l_receiptdate > l3.l_commitdate)
  GROUP BY s.s_name
)
SELECT s_name, numwait
FROM waiting
QUALIFY row_number() OVER (ORDER BY numwait DESC, s_name) <= 100
