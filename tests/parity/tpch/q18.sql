WITH large AS (
  SELECT l_orderkey FROM silver.lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 250
), found AS (
  SELECT c.c_name, c.c_custkey, o.o_orderkey, o.o_orderdate, o.o_totalprice,
    sum(l.l_quantity) AS quantity
  FROM silver.customer AS c
  JOIN silver.orders AS o ON o.o_custkey = c.c_custkey
  JOIN silver.lineitem AS l ON l.l_orderkey = o.o_orderkey
  WHERE o.o_orderkey IN (SELECT g.l_orderkey FROM large AS g)
  GROUP BY c.c_name, c.c_custkey, o.o_orderkey, o.o_orderdate, o.o_totalprice
)
SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, quantity
FROM found
QUALIFY row_number() OVER (
  ORDER BY o_totalprice DESC, o_orderdate, o_orderkey, c_custkey, c_name) <= 100
