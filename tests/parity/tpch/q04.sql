SELECT o.o_orderpriority, count(*) AS order_count
FROM silver.orders AS o
WHERE o.o_orderdate >= DATE '1993-07-01'
  AND o.o_orderdate < CAST(DATE '1993-07-01' + INTERVAL '3' MONTH AS DATE)
  AND EXISTS (
    SELECT 1 FROM silver.lineitem AS l
    WHERE l.l_orderkey = o.o_orderkey AND l.l_commitdate < l.l_receiptdate)
GROUP BY o.o_orderpriority
