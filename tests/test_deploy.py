"""The cluster files have the form that those who read them ask for."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from vividhead.cli import _parser

DEPLOY = Path(__file__).parent.parent / "docs/deploy"


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def test_the_cluster_file_passes_rays_own_validation() -> None:
    validate_config(prepare_config(read("ray-cluster.yaml")))


def test_rays_validation_refuses_a_cluster_file_with_a_mistake() -> None:
    with pytest.raises(Exception, match="additional properties|Additional properties|not valid|Failed validating"):
        validate_config(prepare_config({**read("ray-cluster.yaml"), "max_wrkers": 3}))


def fields(found: dict[str, Any], needed: str, allowed: str = "") -> None:
    """All that is needed is there, and nothing that is not known."""
    assert set(needed.split()) <= found.keys() <= {*needed.split(), *allowed.split()}, sorted(found)


def test_the_job_file_has_the_fields_of_a_rayjob() -> None:
    """A subset of `ray.io/v1`, written down here: the operator's own schema is in no package registry."""
    job = read("kuberay-job.yaml")
    fields(job, "apiVersion kind metadata spec")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    fields(job["spec"], "entrypoint rayClusterSpec", "shutdownAfterJobFinishes ttlSecondsAfterFinished backoffLimit")
    cluster = job["spec"]["rayClusterSpec"]
    fields(cluster, "headGroupSpec workerGroupSpecs", "rayVersion enableInTreeAutoscaling")
    fields(cluster["headGroupSpec"], "rayStartParams template")
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in cluster["workerGroupSpecs"]:
        fields(group, "groupName rayStartParams template replicas minReplicas maxReplicas")
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        fields(pod, "containers volumes", "terminationGracePeriodSeconds")
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            fields(container, "name image resources volumeMounts", "ports")
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_the_jobs_command_is_one_that_the_command_line_takes() -> None:
    program, *arguments = read("kuberay-job.yaml")["spec"]["entrypoint"].split()
    asked = _parser().parse_args(arguments)
    assert (program, asked.address, asked.on) == ("vividhead", "auto", "ray")
