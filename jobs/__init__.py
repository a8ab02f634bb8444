"""What runs on a cluster, and the domains."""
