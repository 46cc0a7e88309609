"""A W&B server on this machine, as far as `wandb sweep` and `wandb agent` need one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, product
from threading import Thread
from typing import Any

import yaml

ENTITY, PROJECT, SWEEP = "tester", "trials", "sweep1"


class Wandb(ThreadingHTTPServer):
    """Holds one sweep, of a grid, and hands out its first points.

    :param points: how many
    """

    def __init__(self, points: int):
        super().__init__(("127.0.0.1", 0), Handler)
        self.points, self.config, self.asked = points, "", list[str]()
        self.commands: Iterator[dict[str, Any]] = iter(())

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take_sweep(self, config: str) -> None:
        self.config = config
        sweep = yaml.safe_load(config)
        grid = {
            name: told.get("values") or [told["value"]]
            for name, told in sweep["parameters"].items()
        }
        args = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
        runs: list[dict[str, Any]] = [
            {
                "type": "run",
                "run_id": f"point{i}",
                "program": sweep.get("program", ""),
                "args": {name: {"value": value} for name, value in point.items()},
            }
            for i, point in enumerate(args[: self.points])
        ]
        self.commands = iter([*runs, {"type": "exit"}])

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        entity = {"id": "1", "name": ENTITY}
        if operation == "Viewer":
            user = {"id": "1", "username": ENTITY, "entity": ENTITY, "flags": "{}"}
            return {"viewer": {**user, "teams": {"edges": []}}}
        if operation == "UpsertSweep":
            self.take_sweep(variables["config"])
            project = {"id": "1", "name": PROJECT, "entity": entity}
            made = {"sweep": {"name": SWEEP, "project": project}, "configValidationWarnings": []}
            return {"upsertSweep": made}
        if operation == "SweepWithRuns":
            held = {"id": SWEEP, "name": SWEEP, "state": "RUNNING", "config": self.config}
            return {"project": {"sweep": {**held, "runs": {"edges": []}}}}
        if operation == "CreateAgent":
            return {"createAgent": {"agent": {"id": "agent1"}}}
        if operation == "Heartbeat":
            told = [] if json.loads(variables["runState"]) else list(islice(self.commands, 1))
            return {"agentHeartbeat": {"agent": {"id": "agent1"}, "commands": json.dumps(told)}}
        return {}


class Handler(BaseHTTPRequestHandler):
    server: Wandb

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer: dict[str, Any] = {}
        if self.path == "/graphql":
            asked = json.loads(body)
            found = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
            operation = found[1] if found else ""
            self.server.asked.append(operation)
            answer = {"data": self.server.answer(operation, asked.get("variables") or {})}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(points: int) -> Iterator[Wandb]:
    """A server that answers, until the end of the block."""
    with Wandb(points) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
