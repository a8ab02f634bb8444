WITH shipped AS (
  SELECT l_partkey, l_suppkey, 0.5e0 * sum(l_quantity) AS half
  FROM silver.lineitem
  WHERE l_shipdate >= DATE '1994-01-01'
    AND l_shipdate < CAST(DATE '1994-01-01' + INTERVAL '1' YEAR AS DATE)
  GROUP BY l_partkey, l_suppkey
), surplus AS (
  SELECT ps.ps_suppkey
  FROM silver.partsupp AS ps
  JOIN shipped AS h ON h.l_partkey = ps.ps_partkey AND h.l_suppkey = ps.ps_suppkey
  WHERE ps.ps_availqty > h.half
    AND ps.ps_partkey IN (SELECT p.p_partkey FROM silver.part AS p WHERE p.p_name LIKE 'forest%')
)
SELECT s.s_name, s.s_address
FROM silver.supplier AS s
JOIN silver.nation AS n ON n.n_nationkey = s.s_nationkey
WHERE n.n_name = 'CANADA' AND s.s_suppkey IN (SELECT u.ps_suppkey FROM surplus AS u)
