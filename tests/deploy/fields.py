"""Checks that deploy/Dockerfile and deploy/kubernetes.yaml agree with each other and with the program."""

import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "deploy/kubernetes.yaml"
DOCKERFILE = ROOT / "deploy/Dockerfile"
wrong = []


def expect(place, expected, found):
    if expected != found:
        wrong.append(f"{place}: expected {expected!r}, found {found!r}")


def check_job(job, claims, user):
    """What holds for every job here: no root, no writable image, only volumes that exist."""
    name, pod = job["metadata"]["name"], job["spec"]["template"]["spec"]
    expect(f"{name}: restartPolicy", "Never", pod["restartPolicy"])
    expect(f"{name}: runAsNonRoot", True, pod["securityContext"]["runAsNonRoot"])
    for key in ["runAsUser", "runAsGroup", "fsGroup"]:
        expect(f"{name}: {key} against USER in deploy/Dockerfile", user, pod["securityContext"][key])
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for volume in volumes.values():
        if "persistentVolumeClaim" in volume:
            expect(f"{name}: claim is in the file", True, volume["persistentVolumeClaim"]["claimName"] in claims)
    for container in pod.get("initContainers", []) + pod["containers"]:
        place = f"{name}/{container['name']}"
        expect(f"{place}: command (the image's entry point takes args)", None, container.get("command"))
        expect(f"{place}: readOnlyRootFilesystem", True, container["securityContext"]["readOnlyRootFilesystem"])
        expect(f"{place}: limits against requests", container["resources"]["requests"], container["resources"]["limits"])
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        for mount in container["volumeMounts"]:
            expect(f"{place}: volume {mount['name']} exists", True, mount["name"] in volumes)
        for argument in container["args"]:
            if argument.startswith("/"):
                inside = any(argument.startswith(f"{mount}/") for mount in mounts)
                expect(f"{place}: {argument} is in a volume", True, inside)
    return pod


def check_sweep(job, pod):
    """The indexed job: one pod a shard, and what each exit code of the program leads to."""
    spec = job["spec"]
    expect("sweep: completionMode", "Indexed", spec["completionMode"])
    expect("sweep: backoffLimitPerIndex is given", True, spec["backoffLimitPerIndex"] >= 1)
    expect("sweep: backoffLimit would end all shards together", None, spec.get("backoffLimit"))
    expect("sweep: 5 s to a checkpoint fit into the grace period", True, pod["terminationGracePeriodSeconds"] >= 15)
    (container,) = pod["containers"]
    arguments = container["args"]
    expect("sweep: --shard against completions", f"auto/{spec['completions']}", arguments[arguments.index("--shard") + 1])
    expect("sweep: parallelism at most completions", True, spec["parallelism"] <= spec["completions"])

    actions, disruption = {}, False
    for rule in spec["podFailurePolicy"]["rules"]:
        if "onExitCodes" in rule:
            codes = rule["onExitCodes"]
            expect("sweep: rule's container", container["name"], codes["containerName"])
            expect("sweep: rule's operator", "In", codes["operator"])
            for code in codes["values"]:
                actions.setdefault(code, rule["action"])
        else:
            disruption |= rule["action"] == "Ignore" and rule["onPodConditions"][0]["type"] == "DisruptionTarget"
    expect("sweep: exit codes to actions", {75: "Ignore", 2: "FailJob", 3: "FailIndex"}, actions)
    expect("sweep: a lost node is ignored", True, disruption)


def check_dockerfile(text):
    """Two stages of one Debian, a toolchain that the crate accepts, no root, sources that exist. Returns the user."""
    text = text.replace("\\\n", " ")
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    expect("Dockerfile: stages", 2, len(stages))
    rust = re.fullmatch(r"rust:(\d+)\.(\d+)-slim-(\w+)", stages[0])
    expect("Dockerfile: first stage is rust:X.Y-slim-RELEASE", True, rust is not None)
    expect("Dockerfile: both stages of one Debian", f"debian:{rust[3]}-slim", stages[1])
    oldest = re.search(r'^rust-version = "(\d+)\.(\d+)', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    fits = (int(rust[1]), int(rust[2])) >= (int(oldest[1]), int(oldest[2]))
    expect(f"Dockerfile: {stages[0]} is rust-version {oldest[1]}.{oldest[2]} or newer", True, fits)
    build, run = text.split("FROM ")[1:]
    expect("Dockerfile: libopenblas-dev where it is built", True, "libopenblas-dev" in build)
    expect("Dockerfile: libopenblas0-pthread where it runs", True, "libopenblas0-pthread" in run)
    expect("Dockerfile: the lock file counts", True, "--locked" in build)
    expect("Dockerfile: entry point", ['["mlpgrid"]'], re.findall(r"^ENTRYPOINT (.*)", run, re.MULTILINE))
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE):
        expect(f"Dockerfile: COPY {source} exists", True, (ROOT / source).exists())
    user, group = re.search(r"^USER (\d+):(\d+)$", run, re.MULTILINE).groups()
    expect("Dockerfile: user is made before it is used", True, f"--uid {user} " in run and int(user) > 0 and user == group)
    return int(user)


def main():
    user = check_dockerfile(DOCKERFILE.read_text())
    documents = list(yaml.safe_load_all(MANIFEST.read_text()))
    claims = {document["metadata"]["name"] for document in documents if document["kind"] == "PersistentVolumeClaim"}
    jobs = {document["metadata"]["name"]: document for document in documents if document["kind"] == "Job"}
    expect("kubernetes.yaml: jobs", {"mlpgrid-sweep", "mlpgrid-report"}, set(jobs))
    pods = {name: check_job(job, claims, user) for name, job in jobs.items()}
    check_sweep(jobs["mlpgrid-sweep"], pods["mlpgrid-sweep"])
    out = pods["mlpgrid-sweep"]["containers"][0]["args"]
    expect("report: the sweep's directory", out[out.index("--out") + 1], pods["mlpgrid-report"]["containers"][0]["args"][1])
    for line in wrong:
        print(f"deploy: {line}", file=sys.stderr)
    if wrong:
        sys.exit(1)
    print("deploy: Dockerfile and kubernetes.yaml agree with each other and with the program")


if __name__ == "__main__":
    main()
