"""Kubernetes manifests: every overlay renders to valid objects, and each command, setting, secret and label exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from app.api.actors import largest
from app.api.health import ANSWER_SECONDS
from app.process.serving import GatewaySettings
from app.settings import Settings
from tests.deploy.test_manifests import COMMANDS, NAMED, files_of, mllp_of
from tests.kit.files import DEPLOY
from tests.kit.manifests import KUBERNETES, OVERLAYS, WHOLE, Object, mllp_objects, named, of_kind, rendered, workloads

VERSIONS = ("1.29", "1.34")
"""The oldest and the newest release of Kubernetes whose schemas are checked."""

ours = pytest.mark.parametrize("overlay", OVERLAYS)


@ours
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(overlay: str, version: str) -> None:
    for each in (*rendered(overlay), *mllp_objects()):
        kubernetes_validate.validate(each, version, strict=True)


@ours
def test_every_command_is_one_of_the_command_line(overlay: str) -> None:
    for _, container in workloads(rendered(overlay)):
        command: Any = COMMANDS
        for word in container["args"]:
            if word.startswith("-"):
                break
            command = command.commands[word]
        assert not hasattr(command, "commands"), f"{container['args']} stops before a command"


def test_every_variable_is_a_setting() -> None:
    known = {f"CART_{name.upper()}" for name in GatewaySettings.model_fields}
    for path in KUBERNETES.rglob("*.yaml"):
        assert set(NAMED.findall(path.read_text())) <= known, path


@ours
def test_every_container_runs_our_image_by_its_version_until_a_release_names_its_digest(overlay: str) -> None:
    version = re.search(r'version = "(.+)"', (DEPLOY.parent / "pyproject.toml").read_text())
    assert version
    for _, container in workloads(rendered(overlay)):
        assert container["image"] == f"cart-encounter:{version[1]}"


@ours
def test_no_secret_is_in_a_manifest(overlay: str) -> None:
    assert not of_kind(rendered(overlay), "Secret")
    for each in of_kind(rendered(overlay), "ConfigMap"):
        assert not [key for key in each["data"] if re.search("PASSWORD|TOKEN|SECRET|URL", key)]


@ours
def test_pods_run_without_privileges(overlay: str) -> None:
    for pod, container in workloads(rendered(overlay)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert pod["automountServiceAccountToken"] is False
        closed = container["securityContext"]
        assert closed["readOnlyRootFilesystem"] is True
        assert closed["allowPrivilegeEscalation"] is False
        assert closed["capabilities"]["drop"] == ["ALL"]
        assert "memory" in container["resources"]["limits"]


@ours
def test_every_mount_has_its_volume_and_is_read_only_but_for_files_exchanged_and_scratch(overlay: str) -> None:
    for pod, container in workloads(rendered(overlay)):
        volumes = {one["name"] for one in pod.get("volumes", ())}
        for mount in container.get("volumeMounts", ()):
            assert mount["name"] in volumes, (container["name"], mount)
            assert mount.get("readOnly") or mount["name"] in ("exchange", "scratch")


@ours
def test_pods_find_keys_and_exchange_where_the_settings_look(overlay: str) -> None:
    home = Settings(data_dir=Path("/var/lib/cart"))
    for _, container in workloads(rendered(overlay)):
        if container["name"] in ("worker", "gateway"):
            mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            assert all(mounts[str(path)]["readOnly"] for path in (home.key_file, home.token_file))
            assert all(mounts[f"{home.data_dir}/{box}"]["name"] == "exchange" for box in ("outbox", "inbox"))


@ours
def test_every_file_that_a_setting_names_is_mounted(overlay: str) -> None:
    settings = named(rendered(overlay), "ConfigMap", "cart-settings")["data"]
    for _, container in workloads(rendered(overlay)):
        if container["name"] == "migrate":  # it needs the database only
            continue
        mounts = [mount["mountPath"] for mount in container.get("volumeMounts", ())]
        for name, value in settings.items():
            if name.startswith("CART_TEMPORAL_") and value.startswith("/"):
                assert any(value.startswith(f"{mount}/") for mount in mounts), (container["name"], name)


@ours
def test_the_schema_is_changed_by_its_owner_alone(overlay: str) -> None:
    """Workers and gateways have a role that cannot change it."""
    secrets = {
        container["name"]: one["valueFrom"]["secretKeyRef"]["name"]
        for _, container in workloads(rendered(overlay))
        for one in container.get("env", ())
        if one["name"] == "CART_DATABASE_URL"
    }
    assert secrets == {"migrate": "cart-database-owner", "worker": "cart-database", "gateway": "cart-database"}


@ours
def test_probes_ask_what_they_mean(overlay: str) -> None:
    for _, container in workloads(rendered(overlay)):
        if container["name"] in ("worker", "gateway"):
            asked = {
                probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")
            }
            assert asked == {"startup": "/startupz", "readiness": "/readyz", "liveness": "/livez"}
            assert container["readinessProbe"]["timeoutSeconds"] > ANSWER_SECONDS


@ours
def test_selectors_budgets_and_services_find_their_pods(overlay: str) -> None:
    labels = [d["spec"]["template"]["metadata"]["labels"] for d in of_kind(rendered(overlay), "Deployment")]
    for each in (*of_kind(rendered(overlay), "Service", "PodDisruptionBudget", "Deployment"), mllp_objects()[1]):
        selector = each["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= mine.items() for mine in labels), each["metadata"]["name"]


@ours
def test_every_deployment_has_a_budget_that_lets_a_node_be_drained(overlay: str) -> None:
    budgets = {
        d["spec"]["selector"]["matchLabels"]["app"]: d["spec"]
        for d in of_kind(rendered(overlay), "PodDisruptionBudget")
    }
    scaled = {
        d["spec"]["scaleTargetRef"]["name"]: d["spec"] for d in of_kind(rendered(overlay), "HorizontalPodAutoscaler")
    }
    for each in of_kind(rendered(overlay), "Deployment"):
        name = each["metadata"]["name"]
        fewest = scaled[name]["minReplicas"] if name in scaled else each["spec"]["replicas"]
        budget = budgets[name]
        assert budget.get("maxUnavailable", 0) >= 1 or budget["minAvailable"] < fewest, name


@ours
def test_an_autoscaler_is_the_only_one_that_sets_the_number_of_pods(overlay: str) -> None:
    deployments = {d["metadata"]["name"]: d for d in of_kind(rendered(overlay), "Deployment")}
    for each in of_kind(rendered(overlay), "HorizontalPodAutoscaler"):
        assert "replicas" not in deployments[each["spec"]["scaleTargetRef"]["name"]]["spec"]


@ours
def test_nothing_is_open_but_what_a_policy_names(overlay: str) -> None:
    objects = rendered(overlay)
    closed = named(objects, "NetworkPolicy", "closed")["spec"]
    assert (closed["podSelector"], closed["policyTypes"]) == ({}, ["Ingress", "Egress"])
    labels = [d["spec"]["template"]["metadata"]["labels"] for d in of_kind(objects, "Deployment", "Job")]
    ports = {port["containerPort"] for _, one in workloads(objects) for port in one.get("ports", ())}
    for policy in of_kind((*objects, *mllp_objects()), "NetworkPolicy"):
        wanted = policy["spec"]["podSelector"].get("matchLabels", {})
        assert any(wanted.items() <= mine.items() for mine in labels), policy["metadata"]["name"]
        for rule in policy["spec"].get("ingress", ()):
            assert rule["from"], "an empty list would let everyone in"
            assert {one["port"] for one in rule["ports"]} <= ports


def test_the_ingress_lets_no_larger_body_through_than_the_gateway_takes() -> None:
    for each in of_kind(rendered(WHOLE), "Ingress"):
        limit = each["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
        assert each["spec"]["tls"]
        for rule in each["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                assert int(limit.removesuffix("m")) * 1024 * 1024 == largest(path["path"])


def test_a_gateway_that_others_can_reach_has_a_list_of_callers() -> None:
    """Without an access file it would refuse to start."""
    objects = rendered(WHOLE)
    settings = named(objects, "ConfigMap", "cart-settings")["data"]
    pod, container = gateway_of(objects)
    mount = next(
        one for one in container["volumeMounts"] if settings["CART_ACCESS_FILE"].startswith(one["mountPath"] + "/")
    )
    assert next(one for one in pod["volumes"] if one["name"] == mount["name"])["secret"]["secretName"] == "cart-access"


def test_gateways_serve_mllp_only_where_its_component_was_added() -> None:
    objects = rendered(WHOLE)
    assert not any("MLLP" in key for key in named(objects, "ConfigMap", "cart-settings")["data"])
    pod, gateway = gateway_of(objects)
    assert {"configMapRef": {"name": "cart-mllp", "optional": True}} in gateway["envFrom"]
    settings = mllp_of(named(mllp_objects(), "ConfigMap", "cart-mllp")["data"])
    mounted = {mount["mountPath"]: mount["name"] for mount in gateway["volumeMounts"] if mount.get("readOnly")}
    sources = {one["name"]: one.get("secret") or one.get("configMap") for one in pod["volumes"]}
    for path in files_of(settings):
        assert sources[mounted[str(path.parent)]]["optional"] is True
    (published,) = named(mllp_objects(), "Service", "cart-mllp")["spec"]["ports"]
    ports = {one["name"]: one["containerPort"] for one in gateway["ports"]}
    assert ports[published["targetPort"]] == settings.mllp_port
    policy = named(mllp_objects(), "NetworkPolicy", "mllp-in")
    assert [one["port"] for one in policy["spec"]["ingress"][0]["ports"]] == [settings.mllp_port]


def gateway_of(objects: tuple[Object, ...]) -> tuple[Object, Object]:
    return next((pod, one) for pod, one in workloads(objects) if one["name"] == "gateway")


def test_every_secret_and_map_that_pods_need_is_named_in_the_readme() -> None:
    readme = (KUBERNETES / "README.md").read_text()
    for overlay in OVERLAYS:
        text = str([pod for pod, _ in workloads(rendered(overlay))])
        for name in set(re.findall(r"'(?:secretName|name)': '(cart-[a-z-]+)'", text)) - {
            "cart-settings",
            "cart-exchange",
        }:
            assert name in readme, f"{overlay}: {name}"
