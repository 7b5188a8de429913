"""The launch files of configs/launch/: they parse, name flags that exist, and restart on the right exit codes."""

import dataclasses
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest

from spanbert_keras import pretrain, program
from spanbert_keras.training.distributed.cluster import Cluster, read_cluster
from spanbert_keras.training.distributed.worker_watch import WORKER_LOST_EXIT_CODE

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "configs" / "launch"
FLAGS = {field.name: field for field in dataclasses.fields(pretrain.Config)}
PREEMPTED_EXIT_CODE = FLAGS["preemption_exit_code"].default if "preemption_exit_code" in FLAGS else 75

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the launch files are for bash")


def script():
    return (LAUNCH / "slurm.sh").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def manifest():
    """Dict from kind to object of the Kubernetes manifest."""
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the manifest")
    found = yaml.safe_load_all((LAUNCH / "kubernetes.yaml").read_text(encoding="utf-8"))
    return {one["kind"]: one for one in found}


@pytest.fixture(scope="module")
def pod(manifest):
    return manifest["Job"]["spec"]["template"]["spec"]


def arguments(text):
    """Returns the command line after `python -m spanbert_keras.pretrain`, with its variables unchanged."""
    line = text.replace("\\\n", " ").split("python -m spanbert_keras.pretrain", 1)[1].splitlines()[0]
    return [word for word in shlex.split(line) if word != "&"]


def check_arguments(words):
    """Parses a command line with the program that it calls, which must have all of its flags."""
    assert words and all(word.startswith("--") for word in words)
    # `distribution` is known as a name; its value is checked once the program has it.
    names = {word[2:].split("=")[0]: word for word in words}
    assert sorted(set(names) - set(FLAGS) - {"flagfile", "distribution"}) == []
    config = program.parse(pretrain.Config, [word for name, word in names.items() if name in {*FLAGS, "flagfile"}])
    assert (config.architecture, config.precision) == ("large", "mixed_float16")
    rows, replicas = config.batch_rows, 32
    assert rows % (replicas * config.accumulation_steps) == 0
    assert names["distribution"] == "--distribution=multi_worker"


def test_the_slurm_script_is_bash():
    subprocess.run(["bash", "-n", str(LAUNCH / "slurm.sh")], check=True)


def test_the_slurm_script_asks_for_32_v100s_one_process_a_machine():
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)", script(), re.M))
    assert (options["nodes"], options["ntasks-per-node"], options["gres"]) == ("4", "1", "gpu:v100:8")
    assert options["signal"].startswith("B:USR1@") and "requeue" in options


def test_the_slurm_scripts_flags_exist(monkeypatch):
    monkeypatch.chdir(ROOT)
    check_arguments(arguments(script()))


def test_the_slurm_scripts_exit_codes_are_the_programs():
    codes = dict(re.findall(r"^(PREEMPTED|WORKER_LOST)=(\d+)", script(), re.M))
    assert codes == {"PREEMPTED": str(PREEMPTED_EXIT_CODE), "WORKER_LOST": str(WORKER_LOST_EXIT_CODE)}


@pytest.fixture
def slurm(tmp_path):
    """Function that starts the script with an `srun` that runs the given words of bash."""
    started = []

    def start(srun, **environ):
        for name, text in {"srun": srun, "scontrol": 'echo "scontrol $*"'}.items():
            (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
            (tmp_path / name).chmod(0o755)
        environ = {"CORPUS": "shards", "OUTPUT_DIR": "run 1", "SLURM_JOB_ID": "7"} | environ
        environ["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        command = ["bash", str(LAUNCH / "slurm.sh")]
        started.append(subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "code, restarts, requeued",
    [
        (0, 0, False),
        (program.INPUT_EXIT_CODE, 0, False),
        (program.USAGE_EXIT_CODE, 0, False),
        (program.DEFECT_EXIT_CODE, 0, False),
        (75, 0, True),
        (76, 0, True),
        (76, 99, True),
        (76, 100, False),
        (128, 0, False),
        (130, 0, False),
        (137, 0, True),
        (139, 0, True),
        (137, 100, False),
    ],
)
def test_slurm_requeues_what_was_preempted_killed_or_lost_a_worker_and_nothing_else(slurm, code, restarts, requeued):
    process = slurm(f"exit {code}", SLURM_RESTART_COUNT=str(restarts))
    out, _ = process.communicate(timeout=20)
    assert ("scontrol requeue 7" in out) is requeued
    assert process.returncode == code


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_slurms_warning_reaches_srun_whose_exit_code_counts(slurm, number):
    name = number.name.removeprefix("SIG")
    process = slurm(f'trap "sleep 0.3; exit 75" {name}\necho ready\nwhile :; do sleep 0.05; done')
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 75 and "scontrol requeue 7" in out


def test_a_path_with_a_space_stays_one_argument(slurm):
    out, _ = slurm('printf "<%s>" "$@"').communicate(timeout=20)
    assert "<--output_dir=run 1>" in out


def test_the_manifests_pods_are_four_machines_of_eight_gpus_with_names(manifest, pod):
    job = manifest["Job"]["spec"]
    assert (job["completionMode"], job["completions"], job["parallelism"]) == ("Indexed", 4, 4)
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 8
    service = manifest["Service"]
    assert service["spec"]["clusterIP"] == "None" and service["metadata"]["name"] == pod["subdomain"]
    assert service["spec"]["selector"] == {"job-name": manifest["Job"]["metadata"]["name"]}


def test_the_manifest_restarts_what_was_preempted_or_lost_a_worker(manifest, pod):
    rules = manifest["Job"]["spec"]["podFailurePolicy"]["rules"]
    codes = {rule["action"]: rule["onExitCodes"]["values"] for rule in rules if "onExitCodes" in rule}
    assert codes["Ignore"] == [PREEMPTED_EXIT_CODE, WORKER_LOST_EXIT_CODE]
    assert codes["FailJob"] == [program.INPUT_EXIT_CODE, program.USAGE_EXIT_CODE]
    # Named by no rule: counted, and started again.
    assert program.DEFECT_EXIT_CODE not in codes["Ignore"] + codes["FailJob"]
    assert {rule["onExitCodes"]["operator"] for rule in rules if "onExitCodes" in rule} == {"In"}
    assert manifest["Job"]["spec"]["backoffLimit"] >= 1
    assert {rule["onExitCodes"]["containerName"] for rule in rules if "onExitCodes" in rule} == {"worker"}
    assert [container["name"] for container in pod["containers"]] == ["worker"]
    # Demanded by podFailurePolicy; time to write a checkpoint.
    assert pod["restartPolicy"] == "Never" and pod["terminationGracePeriodSeconds"] >= 120


def test_the_manifests_volumes_are_mounted(pod):
    mounts = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


def test_the_manifests_flags_exist(pod, monkeypatch):
    monkeypatch.chdir(ROOT)
    check_arguments(arguments(pod["containers"][0]["args"][0]))


def test_the_manifests_shell_makes_a_tf_config(manifest, pod, tmp_path):
    (tmp_path / "python").write_text('#!/bin/bash\nprintf "%s" "$TF_CONFIG"\n')
    (tmp_path / "python").chmod(0o755)
    container = pod["containers"][0]
    environ = {one["name"]: one["value"] for one in container["env"]}
    environ |= {"JOB_COMPLETION_INDEX": "2", "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*container["command"], *container["args"]], env=environ, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["task"] == {"type": "worker", "index": 2}
    name, port = manifest["Job"]["metadata"]["name"], manifest["Service"]["spec"]["ports"][0]["port"]
    addresses = tuple(f"{name}-{i}.{pod['subdomain']}:{port}" for i in range(4))
    assert read_cluster({"TF_CONFIG": done.stdout}) == Cluster(2, addresses, 4)
