"""Speed, as ratios against a peer in the same run; docs/performance.md tells what is measured."""
