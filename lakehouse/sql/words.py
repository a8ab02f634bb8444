"""Words that cannot name a column, a table or a domain: some parser takes them for its own.

The test draws them from DuckDB's own list and from what the linter parses.
"""

from __future__ import annotations

__all__ = ["WORDS"]

WORDS = frozenset(
    [
        *("all", "alter", "analyse", "analyze", "and", "anti", "any", "array", "as", "asc", "asof"),
        *("asymmetric", "at", "authorization", "between", "binary", "both", "by", "case", "cast"),
        *("check", "collate", "collation", "column", "concurrently", "constraint", "create"),
        *("cross", "current_date", "current_time", "current_timestamp", "current_user", "default"),
        *("deferrable", "desc", "describe", "distinct", "do", "drop", "else", "end", "except"),
        *("false", "fetch", "for", "force", "foreign", "freeze", "from", "full", "glob", "grant"),
        *("group", "having", "if", "ilike", "in", "initially", "inner", "insert", "install"),
        *("intersect", "into", "is", "isnull", "join", "lambda", "lateral", "leading", "left"),
        *("like", "limit", "localtime", "localtimestamp", "map", "natural", "not", "notnull"),
        *("null", "offset", "on", "only", "or", "order", "outer", "overlaps", "pivot"),
        *("pivot_longer", "pivot_wider", "placing", "positional", "primary", "qualify"),
        *("references", "regexp", "returning", "revoke", "right", "rlike", "rollback", "select"),
        *("semi", "session_user", "show", "similar", "some", "summarize", "symmetric", "table"),
        *("tablesample", "then", "to", "trailing", "true", "union", "unique", "unpack", "unpivot"),
        *("user", "using", "values", "variadic", "verbose", "when", "where", "window", "with"),
    ]
)
