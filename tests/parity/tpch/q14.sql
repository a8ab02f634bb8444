SELECT
  100 * sum(CASE WHEN p.p_type LIKE 'PROMO%' THEN l.l_extendedprice * (1 - l.l_discount) ELSE 0 END)
    / nullif(sum(l.l_extendedprice * (1 - l.l_discount)), 0) AS promo_revenue
FROM silver.lineitem AS l
JOIN silver.part AS p ON p.p_partkey = l.l_partkey
WHERE l.l_shipdate >= DATE '1995-09-01'
  AND l.l_shipdate < CAST(DATE '1995-09-01' + INTERVAL '1' MONTH AS DATE)
