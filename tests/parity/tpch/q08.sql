WITH all_nations AS (
  SELECT extract(year FROM o.o_orderdate) AS o_year,
    l.l_extendedprice * (1 - l.l_discount) AS volume, n2.n_name AS nation
  FROM silver.part AS p
  JOIN silver.lineitem AS l ON l.l_partkey = p.p_partkey
  JOIN silver.supplier AS s ON s.s_suppkey = l.l_suppkey
  JOIN silver.orders AS o ON o.o_orderkey = l.l_orderkey
  JOIN silver.customer AS c ON c.c_custkey = o.o_custkey
  JOIN silver.nation AS n1 ON n1.n_nationkey = c.c_nationkey
  JOIN silver.region AS r ON r.r_regionkey = n1.n_regionkey
  JOIN silver.nation AS n2 ON n2.n_nationkey = s.s_nationkey
  WHERE r.r_name = 'AMERICA'
    AND o.o_orderdate BETWEEN DATE '1995-01-01' AND DATE '1996-12-31'
    AND p.p_type = 'ECONOMY ANODIZED STEEL'
)
SELECT o_year,
  sum(CASE WHEN nation = 'BRAZIL' THEN volume ELSE 0 END) / nullif(sum(volume), 0) AS mkt_share
FROM all_nations
GROUP BY o_year
