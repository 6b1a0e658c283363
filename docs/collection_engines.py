"""Compare engines for independent tasks: start, memory, and what a killed worker costs.

    for engine in dask ray ray-data joblib executor; do
        python docs/collection_engines.py $engine; python docs/collection_engines.py $engine --kill
    done

Runs 200 tasks of 50 ms on two workers; with --kill, kills a worker (SIGKILL) after a third of them. Prints a line of JSON.
Requires psutil and the engine; each was measured in an environment of its own.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

TASKS, SECONDS = 200, 0.05


def work(task: tuple[int, str]) -> int:
    """Sleep, and note who did so when."""
    number, log = task
    time.sleep(SECONDS)
    with open(log, "a") as file:
        file.write(f"{number} {os.getpid()} {time.monotonic()}\n")
    return number


def with_dask(tasks):
    from distributed import Client, LocalCluster, as_completed

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        return [future.result() for future in as_completed(client.map(work, tasks, pure=False))]


def with_ray(tasks):
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    task = ray.remote(num_cpus=1, max_retries=-1)(work)
    return ray.get([task.remote(given) for given in tasks])


class Batch:
    """An actor of Ray Data."""

    def __call__(self, rows):
        return {"done": [work((int(number), log)) for number, log in zip(rows["number"], rows["log"], strict=True)]}


def with_ray_data(tasks):
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    rows = [{"number": number, "log": log} for number, log in tasks]
    data = ray.data.from_items(rows, override_num_blocks=TASKS // 4)
    return [row["done"] for row in data.map_batches(Batch, batch_size=1, concurrency=2, num_cpus=1).iter_rows()]


def with_joblib(tasks):
    import joblib

    return joblib.Parallel(n_jobs=2)(joblib.delayed(work)(task) for task in tasks)


def with_executor(tasks):
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, tasks))


ENGINES = {
    "dask": with_dask,
    "ray": with_ray,
    "ray-data": with_ray_data,
    "joblib": with_joblib,
    "executor": with_executor,
}


def read(log: str) -> list[list[str]]:
    return [line.split() for line in Path(log).read_text().splitlines()]


def watch(log: str, state: dict, kill: bool) -> None:
    """Measure the memory of all processes (proportional set size), and kill a worker."""
    while not state.get("end"):
        time.sleep(0.25)
        total = 0
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        state["peak_mib"] = max(state.get("peak_mib", 0), round(total / 2**20))
        done = read(log)
        if kill and "killed" not in state and len(done) > TASKS // 3:
            state["killed"] = int(done[-1][1])
            os.kill(state["killed"], signal.SIGKILL)


def main() -> None:
    begun, engine, state = time.monotonic(), sys.argv[1], {}
    with tempfile.TemporaryDirectory() as folder:
        log = f"{folder}/log"
        Path(log).touch()
        watcher = threading.Thread(target=watch, args=(log, state, "--kill" in sys.argv))
        watcher.start()
        result = {"engine": engine}
        try:
            result["done"] = len(set(ENGINES[engine]([(number, log) for number in range(TASKS)])))
        except Exception as error:  # what an engine raises when a worker dies is a result
            result["error"] = type(error).__name__
        state["end"] = True
        watcher.join()
        times = [float(at) for _, _, at in read(log)]
    result |= {"first_result_s": round(times[0] - begun, 2), "tasks_s": round(max(times) - times[0], 2)}
    result |= {"tasks": len(times), "peak_mib": state["peak_mib"], "load": round(os.getloadavg()[0], 1)}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
