"""The flows: order, retries, parameters and artifacts; the only place that imports Prefect."""
