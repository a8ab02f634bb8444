WITH per_customer AS (
  SELECT c.c_custkey, count(o.o_orderkey) AS c_count
  FROM silver.customer AS c
  LEFT JOIN silver.orders AS o
    ON o.o_custkey = c.c_custkey AND o.o_comment NOT LIKE '%special%requests%'
  GROUP BY c.c_custkey
)
SELECT c_count, count(*) AS custdist
FROM per_customer
GROUP BY c_count
