WITH german AS (
  SELECT ps.ps_partkey, ps.ps_supplycost * ps.ps_availqty AS value
  FROM silver.partsupp AS ps
  JOIN silver.supplier AS s ON s.s_suppkey = ps.ps_suppkey
  JOIN silver.nation AS n ON n.n_nationkey = s.s_nationkey
  WHERE n.n_name = 'GERMANY'
)
SELECT ps_partkey, sum(value) AS value
FROM german
GROUP BY ps_partkey
-- 0.0001 divided by the scale factor, which is 0.01.
HAVING sum(value) > (SELECT sum(g.value) * 0.01 FROM german AS g)
