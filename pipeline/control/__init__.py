"""Control of jobs that run on a cluster, apart from the process that handed them over."""
