"""The Kubernetes manifests as `kubectl kustomize` renders them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from tests.kit.files import DEPLOY
from tests.kit.programs import find_program

KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = tuple(sorted(path.name for path in (KUBERNETES / "overlays").iterdir()))
WHOLE = "production"
"""The overlay with the most parts."""

Object = dict[str, Any]


@cache
def rendered(overlay: str) -> tuple[Object, ...]:
    """Every object of an overlay."""
    command = [find_program("kubectl"), "kustomize", str(KUBERNETES / "overlays" / overlay)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, f"{overlay}: {made.stderr} (kubectl 1.27 or newer)"
    assert not made.stderr, made.stderr
    return tuple(yaml.safe_load_all(made.stdout))


@cache
def mllp_objects() -> tuple[Object, ...]:
    return tuple(yaml.safe_load_all((KUBERNETES / "components" / "mllp" / "mllp.yaml").read_text()))


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    return next(each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def workloads(objects: tuple[Object, ...]) -> Iterator[tuple[Object, Object]]:
    """Every pod's specification and each of its containers."""
    for each in of_kind(objects, "Deployment", "Job"):
        pod = each["spec"]["template"]["spec"]
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            yield pod, container
