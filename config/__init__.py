"""Settings and what follows from them: leases, Celery, Flower, logging. May import only `runtime` of ours."""
