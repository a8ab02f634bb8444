WITH profit AS (
  SELECT n.n_name AS nation, extract(year FROM o.o_orderdate) AS o_year,
    l.l_extendedprice * (1 - l.l_discount) - ps.ps_supplycost * l.l_quantity AS amount
  FROM silver.part AS p
  JOIN silver.lineitem AS l ON l.l_partkey = p.p_partkey
  JOIN silver.supplier AS s ON s.s_suppkey = l.l_suppkey
  JOIN silver.partsupp AS ps ON ps.ps_suppkey = l.l_suppkey AND ps.ps_partkey = l.l_partkey
  JOIN silver.orders AS o ON o.o_orderkey = l.l_orderkey
  JOIN silver.nation AS n ON n.n_nationkey = s.s_nationkey
  WHERE p.p_name LIKE '%green%'
)
SELECT nation, o_year, sum(amount) AS sum_profit
FROM profit
GROUP BY nation, o_year
