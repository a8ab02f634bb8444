WITH chosen AS (
  SELECT c_custkey, left(c_phone, 2) AS cntrycode, c_acctbal
  FROM silver.customer
  WHERE left(c_phone, 2) IN ('13', '31', '23', '29', '30', '18', '17')
), rich AS (
  SELECT c_custkey, cntrycode, c_acctbal
  FROM chosen
  WHERE c_acctbal > (SELECT avg(i.c_acctbal) FROM chosen AS i WHERE i.c_acctbal > 0)
)
SELECT r.cntrycode, count(*) AS numcust, sum(r.c_acctbal) AS totacctbal
FROM rich AS r
WHERE NOT EXISTS (SELECT 1 FROM silver.orders AS o WHERE o.o_custkey = r.c_custkey)
GROUP BY r.cntrycode
