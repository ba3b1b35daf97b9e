"""Runs a plan of training runs, `splat train` and the loop on gsplat, on the GPUs of one machine.

    python3 bench/train/run.py PLAN.json --splat BIN --engines DIR --data DIR --out DIR [--gsplat-library SO]

A plan names groups of runs, done in order; steps of `null` are the program's own; `ENGINES` in its arguments is the
folder of the engines. Those of a group
`alone` have the machine (with `every_gpu`, a GPU) for themselves, one after the other, tools alternating: their clocks
count. Of a group `crowd`, `at_once` runs share each GPU: only their quality counts. After `--deadline` seconds nothing is
started, what still runs is ended, and what it had reported is kept. Everything goes to `OUT/results.json`, written anew
after each run; times in seconds, memory in MiB.
"""

import argparse
import datetime
import hashlib
import itertools
import json
import math
import os
import pathlib
import platform
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
KEPT_EVENTS = 400


def smi(fields):
    out = subprocess.run(
        ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"], capture_output=True, text=True
    )
    return [line.split(", ") for line in out.stdout.splitlines()]


class Memory:
    """Memory in use on a GPU, asked for every 100 ms, against what was in use before."""

    def __init__(self, gpu):
        self.gpu = gpu

    def __enter__(self):
        self.idle = min(int(smi("memory.used")[self.gpu][0]) for _ in range(3))
        self.log = tempfile.TemporaryFile("w+")
        query = ["nvidia-smi", "--query-gpu=timestamp,memory.used", "--format=csv,noheader,nounits", f"--id={self.gpu}"]
        self.process = subprocess.Popen([*query, "-lms", "100"], stdout=self.log, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def figures(self, until=math.inf):
        """The peak up to the time `until`, seconds since 1970."""
        self.log.seek(0)
        rows = [line.strip().split(", ") for line in self.log if line.endswith("\n")]
        time_of = lambda text: datetime.datetime.strptime(text, "%Y/%m/%d %H:%M:%S.%f").timestamp()
        samples = [int(used) for at, used in rows if until == math.inf or time_of(at) <= until]
        return dict(idle=self.idle, peak=max(samples, default=self.idle) - self.idle, samples=len(samples))


def expanded(plan):
    """Groups of runs: the product of steps, sets, seeds and tools, tools alternating."""
    for group in plan["groups"]:
        runs = []
        for entry in group["runs"]:
            product = itertools.product(
                entry.get("steps", [30_000]),
                entry.get("sets", list(plan["sets"])),
                entry.get("seeds", [0]),
                range(entry.get("repeat", 1)),
                entry.get("tools", ["ours", "gsplat"]),
            )
            for steps, dataset, seed, repeat, tool in product:
                args = plan.get(tool, []) + plan["sets"][dataset].get(tool, []) + entry.get(tool, [])
                runs.append(
                    dict(
                        tool=tool,
                        set=dataset,
                        seed=seed,
                        steps=steps,
                        repeat=repeat,
                        mode=group["mode"],
                        label=entry.get("label", ""),
                        args=args,
                        estimate=entry.get("estimate", {}).get(tool, 0),
                    )
                )
        yield dict(group, runs=runs)


class Runner:
    def __init__(self, options, plan):
        self.options, self.plan = options, plan
        self.begin = time.monotonic()
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="train-bench-"))
        self.lock, self.results = threading.Lock(), []
        torch = subprocess.run(
            [sys.executable, "-c", "import torch; print(torch.__path__[0])"], capture_output=True, text=True
        )
        self.torch = pathlib.Path(torch.stdout.strip() or ".") / "lib"

    def left(self):
        return self.options.deadline - (time.monotonic() - self.begin)

    def command(self, run, folder):
        data, o = self.options.data / run["set"], self.options
        args = [a.replace("ENGINES", str(o.engines)) for a in run["args"]]
        common = ["--seed", str(run["seed"])]
        if run["steps"] is not None:
            common += ["--steps" if run["tool"] == "gsplat" else "--iterations", str(run["steps"])]
        if run["tool"] == "ours":
            return [str(o.splat), "train", str(data), "-o", str(folder / "out"), *common, "--json-events", *args]
        library = ["--gsplat-library", str(o.gsplat_library)] if o.gsplat_library else []
        loop = [sys.executable, str(HERE / "baseline.py"), str(data), "--out", str(folder / "report.json")]
        return [*loop, *common, *library, *args]

    def environment(self, run, gpu):
        """Children find torch's libraries and our engines; those of a crowd leave each other processors."""
        path = [str(self.torch), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
        out = dict(os.environ, CUDA_VISIBLE_DEVICES=str(gpu), LD_LIBRARY_PATH=os.pathsep.join(path))
        out.update(SPLAT_ENGINES=str(self.options.engines), PYTHONUNBUFFERED="1")
        return out if run["mode"] == "alone" else dict(out, OMP_NUM_THREADS="2")

    def execute(self, run, gpu):
        name = "-".join(str(run[k]) for k in ("tool", "set", "steps", "seed", "repeat", "label") if run[k] not in ("", None))
        folder = pathlib.Path(tempfile.mkdtemp(prefix=name, dir=self.work))
        command = self.command(run, folder)
        begin, started_at, cut = time.monotonic(), time.time(), False
        with open(folder / "stdout", "w") as stdout, open(folder / "stderr", "w") as stderr:
            process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=self.environment(run, gpu))
            try:
                process.wait(max(1, self.left()))
            except subprocess.TimeoutExpired:
                cut = True
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        wall = round(time.monotonic() - begin, 3)
        shown = [c.replace(str(folder), "RUN").replace(str(self.options.data), "DATA") for c in command]
        shown = [pathlib.Path(c).name if i == 0 or c.endswith((".py", ".so")) else c for i, c in enumerate(shown)]
        result = dict(
            run, name=name, gpu=gpu, rc=process.returncode, cut=cut, wall_seconds=wall, command=" ".join(shown)
        )
        result.update(self.ours(folder) if run["tool"] == "ours" else self.gsplat(folder))
        if "profile" in result.get("report", {}):  # a profile takes time and memory of its own, after the training
            result["ended_at"] = result["report"]["ended_at"]
            result["wall_seconds"] = round(result["ended_at"] - started_at, 3)
        if process.returncode != 0:
            result["stderr"] = (folder / "stderr").read_text()[-1500:]
        for views in (folder / "out").glob("views"):
            self.keep_view(run, views)
        shutil.rmtree(folder, ignore_errors=True)
        return result

    def keep_view(self, run, views):
        """One held-out view of each set, to look at."""
        to = self.options.out / f"view-{run['set']}.png"
        last = sorted(views.glob("*.png"))[-1:]
        if last and (run["steps"] or 7000) >= 7000 and not to.exists() and last[0].stat().st_size < 4 << 20:
            shutil.copyfile(last[0], to)

    def gsplat(self, folder):
        path = folder / "report.json"
        return dict(report=json.loads(path.read_text())) if path.is_file() else {}

    def ours(self, folder):
        """`stats.json` where the run came to its end; the events in any case."""
        evaluations, steps, warnings = [], [], []
        for line in (folder / "stdout").read_text().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            kind = event.pop("event", None)
            if kind == "evaluated":
                evaluations.append(event)
            elif kind == "step":
                steps.append([event["step"], event["gaussians"], round(event["steps_per_second"], 1)])
            elif kind == "warning":
                warnings.append(event)
        thin = -(-len(steps) // KEPT_EVENTS) or 1
        result = dict(evaluations=evaluations, speed=steps[::thin], warnings=warnings)
        stats, scene = folder / "out/stats.json", folder / "out/point_cloud.ply"
        if stats.is_file():
            result["stats"] = json.loads(stats.read_text())
        if scene.is_file():
            with open(scene, "rb") as file:
                result["scene_sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        return result

    def record(self, result):
        with self.lock:
            self.results.append(result)
            value = dict(
                format=1,
                machine=self.machine,
                plan=self.plan,
                seconds=round(time.monotonic() - self.begin, 1),
                runs=self.results,
            )
            temporary = self.options.out / "results.tmp"
            temporary.write_text(json.dumps(value))
            os.replace(temporary, self.options.out / "results.json")
        last = (result.get("evaluations") or result.get("report", {}).get("evaluations") or [{}])[-1]
        figures = [f"{k} {last[k]:.6g}" for k in ("step", "psnr", "ssim", "gaussians", "train_seconds") if k in last]
        figures += [f"{k} {result[k]}" for k in ("skipped", "rc", "wall_seconds") if k in result]
        figures += [f"peak {result['memory']['peak']} MiB"] if "memory" in result else []
        print(f"[{time.monotonic() - self.begin:6.1f}] {result['name']}: {', '.join(figures)}", flush=True)
        if result.get("rc"):
            print("    " + result.get("stderr", "")[-600:].replace("\n", "\n    "), flush=True)

    def group(self, group, gpus):
        """`at_once` runs on each of `gpus`; of a group `alone` one on the first, or with `every_gpu` one on each."""
        alone = group["mode"] == "alone"
        if alone and not group.get("every_gpu"):
            gpus = 1
        waiting = queue.Queue()
        for run in group["runs"]:
            waiting.put(run)

        def work(gpu):
            while True:
                try:
                    run = waiting.get_nowait()
                except queue.Empty:
                    return
                if self.left() < max(5, run["estimate"]):
                    self.record(dict(run, name=f"{run['tool']}-{run['set']}-{run['steps']}", skipped="deadline"))
                    continue
                try:
                    if alone:
                        with Memory(gpu) as memory:
                            result = self.execute(run, gpu)
                        self.record(dict(result, memory=memory.figures(result.pop("ended_at", math.inf))))
                    else:
                        result = self.execute(run, gpu)
                        result.pop("ended_at", None)
                        self.record(result)
                except (OSError, ValueError) as error:  # the other runs are worth their time all the same
                    self.record(dict(run, name=f"{run['tool']}-{run['set']}-{run['steps']}", skipped=repr(error)))

        at_once = 1 if alone else group["at_once"]
        threads = [threading.Thread(target=work, args=(i % gpus,)) for i in range(gpus * at_once)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def run(self):
        gpus = smi("name,driver_version,memory.total,clocks.max.sm,clocks.max.mem")
        versions = subprocess.run(
            [sys.executable, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True
        )
        cpu = next(
            (line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), None
        )
        program = subprocess.run(
            [str(self.options.splat), "--version"],
            capture_output=True,
            text=True,
            env=dict(os.environ, LD_LIBRARY_PATH=str(self.torch)),
        )
        self.machine = dict(
            gpus=gpus,
            cpu=cpu,
            cpus=os.cpu_count(),
            python=platform.python_version(),
            torch=versions.stdout.strip(),
            splat=program.stdout.strip() or program.stderr.strip()[-300:],
            date=str(datetime.date.today()),
        )
        print(json.dumps(self.machine), flush=True)
        for group in expanded(self.plan):
            self.group(group, max(1, len(gpus)))
        shutil.rmtree(self.work, ignore_errors=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("plan", type=pathlib.Path)
    p.add_argument("--splat", type=pathlib.Path, required=True, help="the program")
    p.add_argument("--engines", type=pathlib.Path, required=True, help="folder of libsplat_*.so")
    p.add_argument("--data", type=pathlib.Path, required=True, help="folder of the data sets")
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--gsplat-library", type=pathlib.Path, help="gsplat's compiled part, where it is not installed")
    p.add_argument("--deadline", type=float, default=560, help="seconds")
    options = p.parse_args()
    for name, value in vars(options).items():
        if isinstance(value, pathlib.Path):
            setattr(options, name, value.resolve())
    options.out.mkdir(parents=True, exist_ok=True)
    Runner(options, json.loads(options.plan.read_text())).run()


if __name__ == "__main__":
    main()
