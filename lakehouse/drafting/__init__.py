"""Files that nobody has declared yet → a first contract and SQL, for their owner to correct.

What is written is read back by the reader, the contract parser and the linter that
will use it; a draft builds as it is.
"""

from lakehouse.drafting.columns import Seen
from lakehouse.drafting.survey import Progress, Survey, survey
from lakehouse.drafting.writing import Draft, draft, one_row_per

__all__ = ["Draft", "Progress", "Seen", "Survey", "draft", "one_row_per", "survey"]
