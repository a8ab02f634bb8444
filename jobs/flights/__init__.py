"""The domain of the demonstration: flights out of New York in 2013."""
