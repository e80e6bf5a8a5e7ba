"""The variables that Batch itself puts into the environment of a job's containers.  Pure.

https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
"""

from collections.abc import Mapping

from cumulo.services.batch.model import Job, Run
from cumulo.services.batch.running.tokens import attempt_of

ADDRESS = "privateIpv4Address"


def variables(job: Job, whole: Job | None, main: Run | None, *, environment: str) -> Mapping[str, str]:
    """Those of a job that has a run.

    whole         the array or the multi-node job that it is part of, if it is
    main          the run of the main node, for other nodes
    environment   name of the compute environment
    """
    assert job.run is not None, f"{job.id} has no run"
    found = {
        "AWS_BATCH_CE_NAME": environment,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt_of(job.run.token)),
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JQ_NAME": job.queue.rpartition("/")[2],
    }
    if whole is not None and job.is_child:
        found["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
        found["AWS_BATCH_JOB_ARRAY_SIZE"] = str(whole.array_size)
    if whole is not None and job.is_node:
        found |= _of_nodes(job, whole, main)
    return found


def _of_nodes(node: Job, whole: Job, main: Run | None) -> Mapping[str, str]:
    found = {
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": str(whole.main_node),
        "AWS_BATCH_JOB_NODE_INDEX": str(node.node),
        "AWS_BATCH_JOB_NUM_NODES": str(whole.nodes),
    }
    if main is not None and node.node != whole.main_node:
        address = next((one[ADDRESS] for one in main.interfaces if ADDRESS in one), "")
        found["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"] = address
    return found
