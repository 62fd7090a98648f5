# SPDX-License-Identifier: Apache-2.0
"""Checks the examples of this folder with published schemas: check.py FOLDER WHEEL.

Kubernetes' schemas come from kubernetes-validate; that of compose files from the wheel of
docker-compose. Objects of other operators have no schema here, and are named.
"""
import json
import sys
import zipfile
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

FOREIGN = {"monitoring.coreos.com/v1"}


def check_compose(path, wheel):
    with zipfile.ZipFile(wheel) as files:
        schema = json.loads(files.read("compose/config/compose_spec.json"))
    try:
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    except jsonschema.ValidationError as wrong:
        sys.exit(f"{path.name}: {wrong.json_path}: {wrong.message}")
    print(f"{path.name}: valid")


def check_kubernetes(path):
    for thing in yaml.safe_load_all(path.read_text()):
        name = f"{path.name}: {thing['kind']} {thing['metadata']['name']}"
        if thing["apiVersion"] in FOREIGN:
            print(f"{name}: no schema")
            continue
        kubernetes_validate.validate(thing, kubernetes_validate.latest_version(), strict=True)
        print(f"{name}: valid")


folder, compose_wheel = Path(sys.argv[1]), sys.argv[2]
check_compose(folder / "compose.yaml", compose_wheel)
for file in sorted(folder.glob("kubernetes*.yaml")):
    check_kubernetes(file)
