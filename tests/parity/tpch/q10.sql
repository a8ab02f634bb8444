WITH returned AS (
  SELECT c.c_custkey, c.c_name, c.c_acctbal, n.n_name, c.c_address, c.c_phone, c.c_comment,
    sum(l.l_extendedprice * (1 - l.l_discount)) AS revenue
  FROM silver.customer AS c
  JOIN silver.orders AS o ON o.o_custkey = c.c_custkey
  JOIN silver.lineitem AS l ON l.l_orderkey = o.o_orderkey
  JOIN silver.nation AS n ON n.n_nationkey = c.c_nationkey
  WHERE o.o_orderdate >= DATE '1993-10-01'
    AND o.o_orderdate < CAST(DATE '1993-10-01' + INTERVAL '3' MONTH AS DATE)
    AND l.l_returnflag = 'R'
  GROUP BY c.c_custkey, c.c_name, c.c_acctbal, n.n_name, c.c_address, c.c_phone, c.c_comment
)
SELECT c_custkey, c_name, revenue, c_acctbal, n_name, c_address, c_phone, c_comment
FROM returned
QUALIFY row_number() OVER (
  ORDER BY revenue DESC, c_custkey, c_name, c_acctbal, n_name, c_address, c_phone, c_comment) <= 20
