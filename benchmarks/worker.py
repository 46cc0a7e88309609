"""A process that times rounds on request, and the parent's end of it.

Requests and answers are JSON objects, one a line, so that rounds of two versions of rl2_sb3 can
take turns::

    {"do": "round", "workload": "demo", "precision": "fp32"}
    {"steps": 40000, "collecting": 0.9, "training": 1.8, "both": 2.7}

``do`` is one of ``round``, which makes and warms up what it has not timed before; ``parts``, for
where the time of a round goes; ``product``, for operations per second; ``memory``, for a process
that does nothing else. What fails answers ``{"error": ...}``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch as th

import rl2_sb3
from benchmarks.limit import peak_flops
from benchmarks.parts import Parts
from benchmarks.settings import SETTINGS
from benchmarks.workloads import Training, make, make_model, peak_memory

ROOT = Path(__file__).resolve().parents[1]
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Answer = dict[str, Any]


class Server:
    """The process's end."""

    def __init__(self, device: str, clock: str):
        self.device, self.now = device, CLOCKS[clock]
        self.made: dict[tuple[str, ...], Any] = {}

    def answer(self, do: str, workload: str = "", precision: str = "fp32") -> Answer:
        key = do, workload, precision
        if do == "round":
            if key not in self.made:
                self.made[key] = make(workload, precision, self.device, self.now)
            return dict(self.made[key].round())
        if do == "parts":
            if key not in self.made:
                model = make_model(SETTINGS[workload], precision, self.device)
                Training(model)  # warms it up
                self.made[key] = Parts(model, self.now)
            return dict(self.made[key].round())
        if do == "product":
            return {"flops": peak_flops(precision, self.device, self.now)}
        if do == "memory":
            return {"KiB": peak_memory(precision, self.device)}
        raise ValueError(f"do={do!r}: use round, parts, product or memory.")


def serve(threads: int, device: str, clock: str) -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed is no answer
    th.set_num_threads(threads)
    server = Server(device, clock)
    print(json.dumps({"file": rl2_sb3.__file__}), file=answers)
    for line in sys.stdin:
        try:
            answer = server.answer(**json.loads(line))
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers)


class Worker:
    """The parent's end.

    :param folder: where the process is to find rl2_sb3
    :raises RuntimeError: it finds another one
    """

    def __init__(self, folder: Path, threads: int, device: str = "cpu", clock: str = "wall"):
        path = [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
        arguments = ["--threads", str(threads), "--device", device, "--clock", clock]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", *arguments],
            cwd=folder,  # -m puts it in front of the path
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        file = Path(self._read()["file"])
        if folder.resolve() not in file.resolve().parents:
            self.close()
            raise RuntimeError(f"{folder} was to be measured, but Python imports {file}.")

    def ask(self, do: str, workload: str = "", precision: str = "fp32") -> Answer:
        """What the process answers.

        :raises RuntimeError: it failed, or died
        """
        request = {"do": do, "workload": workload, "precision": precision}
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it is dead, as reading will tell
            print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._read()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def _read(self) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The process ended with status {self._process.wait()}.")
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", default="wall")
    args = parser.parse_args()
    serve(args.threads, args.device, args.clock)
