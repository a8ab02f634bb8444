WITH shipping AS (
  SELECT n1.n_name AS supp_nation, n2.n_name AS cust_nation,
    extract(year FROM l.l_shipdate) AS l_year,
    l.l_extendedprice * (1 - l.l_discount) AS volume
  FROM silver.supplier AS s
  JOIN silver.lineitem AS l ON l.l_suppkey = s.s_suppkey
  JOIN silver.orders AS o ON o.o_orderkey = l.l_orderkey
  JOIN silver.customer AS c ON c.c_custkey = o.o_custkey
  JOIN silver.nation AS n1 ON n1.n_nationkey = s.s_nationkey
  JOIN silver.nation AS n2 ON n2.n_nationkey = c.c_nationkey
  WHERE ((n1.n_name = 'FRANCE' AND n2.n_name = 'GERMANY')
      OR (n1.n_name = 'GERMANY' AND n2.n_name = 'FRANCE'))
    AND l.l_shipdate BETWEEN DATE '1995-01-01' AND DATE '1996-12-31'
)
SELECT supp_nation, cust_nation, l_year, sum(volume) AS revenue
FROM shipping
GROUP BY supp_nation, cust_nation, l_year
