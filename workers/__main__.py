"""`python -m workers --name worker1 --steps submit,poll`: what `celery -A workers.app worker` does, without its shell.

Celery's own program loads a prompt, Flower and each of its commands, a quarter of what a worker takes to start.
"""

import argparse
import socket
import sys

from runtime import garbage

INTERRUPTED = 130


def main() -> int:
    garbage.hold()
    from celery.signals import worker_shutting_down  # noqa: PLC0415 - held first, then loaded

    from config.celery import STEPS  # noqa: PLC0415
    from workers.app import app, settings  # noqa: PLC0415

    asked = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    asked.add_argument("--name", default="worker", help="tells this process from the others on its host")
    asked.add_argument("--steps", default=",".join(STEPS), help="queues to work on, by comma")
    given = asked.parse_args()
    steps = given.steps.split(",")
    if unknown := set(steps) - set(STEPS):
        asked.error(f"--steps: no step {', '.join(sorted(unknown))}; the steps are {','.join(STEPS)}")
    worker = app.Worker(
        hostname=f"{given.name}@{socket.gethostname()}",
        queues=steps,
        concurrency=max(2 * len(steps), 4),
        loglevel=settings.log.level,
        quiet=True,  # the log has lines of one kind
    )
    signals: list[str] = []

    @worker_shutting_down.connect(weak=False)
    def note(sig: str, **_: object) -> None:
        signals.append(sig)

    worker.start()
    return INTERRUPTED if "SIGINT" in signals else int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
