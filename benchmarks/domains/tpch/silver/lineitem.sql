SELECT
  l_orderkey, l_linenumber, l_partkey, l_suppkey, l_quantity, l_extendedprice, l_discount,
  l_extendedprice * (1 - l_discount) AS revenue,
  l_returnflag, l_linestatus, l_shipdate, l_commitdate, l_receiptdate, l_shipinstruct, l_shipmode,
  _source_file, _row, ship_month
FROM bronze.lineitem
QUALIFY row_number() OVER (
  PARTITION BY ship_month, l_orderkey, l_linenumber
  ORDER BY _landed_at DESC, _source_file DESC, _row DESC) = 1
