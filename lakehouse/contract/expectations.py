"""The names of Great Expectations' expectations: reading a contract need not load them."""

from __future__ import annotations

__all__ = ["EXPECTATIONS"]

_COLUMN = (
    *("distinct_values_to_be_in_set", "distinct_values_to_contain_set"),
    *("distinct_values_to_equal_set", "kl_divergence_to_be_less_than", "max_to_be_between"),
    *("mean_to_be_between", "median_to_be_between", "min_to_be_between"),
    *("most_common_value_to_be_in_set", "pair_values_a_to_be_greater_than_b"),
    *("pair_values_to_be_equal", "pair_values_to_be_in_set"),
    *("proportion_of_non_null_values_to_be_between", "proportion_of_unique_values_to_be_between"),
    *("quantile_values_to_be_between", "stdev_to_be_between", "sum_to_be_between", "to_exist"),
    *("type_to_be", "unique_value_count_to_be_between", "value_lengths_to_be_between"),
    *("value_lengths_to_equal", "value_z_scores_to_be_less_than"),
)
_VALUES = (
    *("be_between", "be_dateutil_parseable", "be_decreasing", "be_in_set", "be_in_type_list"),
    *("be_increasing", "be_json_parseable", "be_null", "be_of_type", "be_unique"),
    *("match_json_schema", "match_like_pattern", "match_like_pattern_list", "match_regex"),
    *("match_regex_list", "match_strftime_format", "not_be_in_set", "not_be_null"),
    *("not_be_outliers", "not_match_like_pattern", "not_match_like_pattern_list"),
    *("not_match_regex", "not_match_regex_list"),
)
_TABLE = (
    *("compound_columns_to_be_unique", "multicolumn_sum_to_equal"),
    *("multicolumn_values_to_be_equal", "query_results_to_match_comparison"),
    *("select_column_values_to_be_unique_within_record", "table_column_count_to_be_between"),
    *("table_column_count_to_equal", "table_columns_to_match_ordered_list"),
    *("table_columns_to_match_set", "table_row_count_to_be_between"),
    *("table_row_count_to_equal", "table_row_count_to_equal_other_table"),
)

#: Every expectation that Great Expectations registers, by its written name.
EXPECTATIONS = frozenset(
    {
        *(f"expect_column_{name}" for name in _COLUMN),
        *(f"expect_column_values_to_{name}" for name in _VALUES),
        *(f"expect_{name}" for name in _TABLE),
        "unexpected_rows_expectation",
    }
)
