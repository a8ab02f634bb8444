WITH european AS (
  SELECT ps.ps_partkey, ps.ps_suppkey, ps.ps_supplycost, s.s_acctbal, s.s_name, s.s_address,
    s.s_phone, s.s_comment, n.n_name
  FROM silver.partsupp AS ps
  JOIN silver.supplier AS s ON s.s_suppkey = ps.ps_suppkey
  JOIN silver.nation AS n ON n.n_nationkey = s.s_nationkey
  JOIN silver.region AS r ON r.r_regionkey = n.n_regionkey
  WHERE r.r_name = 'EUROPE'
)
SELECT e.s_acctbal, e.s_name, e.n_name, p.p_partkey, e.ps_suppkey, p.p_mfgr, e.s_address,
  e.s_phone, e.s_comment
FROM silver.part AS p
JOIN european AS e ON e.ps_partkey = p.p_partkey
WHERE p.p_size = 15 AND p.p_type LIKE '%BRASS'
  AND e.ps_supplycost = (
    SELECT min(c.ps_supplycost) FROM european AS c WHERE c.ps_partkey = p.p_partkey)
QUALIFY row_number() OVER (
  ORDER BY e.s_acctbal DESC, e.n_name, e.s_name, p.p_partkey, e.ps_suppkey, e.ps_partkey) <= 100
