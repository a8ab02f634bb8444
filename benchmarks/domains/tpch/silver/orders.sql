SELECT
  o_orderkey, o_custkey, o_orderstatus, o_totalprice, o_orderdate, o_orderpriority,
  _source_file, _row, order_month
FROM bronze.orders
QUALIFY row_number() OVER (
  PARTITION BY order_month, o_orderkey
  ORDER BY _landed_at DESC, _source_file DESC, _row DESC) = 1
