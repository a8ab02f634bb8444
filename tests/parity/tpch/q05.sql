SELECT n.n_name, sum(l.l_extendedprice * (1 - l.l_discount)) AS revenue
FROM silver.customer AS c
JOIN silver.orders AS o ON o.o_custkey = c.c_custkey
JOIN silver.lineitem AS l ON l.l_orderkey = o.o_orderkey
JOIN silver.supplier AS s ON s.s_suppkey = l.l_suppkey AND s.s_nationkey = c.c_nationkey
JOIN silver.nation AS n ON n.n_nationkey = s.s_nationkey
JOIN silver.region AS r ON r.r_regionkey = n.n_regionkey
WHERE r.r_name = 'ASIA'
  AND o.o_orderdate >= DATE '1994-01-01'
  AND o.o_orderdate < CAST(DATE '1994-01-01' + INTERVAL '1' YEAR AS DATE)
GROUP BY n.n_name
