"""From the results of `run.py` to tables: bench/results/train-h100.md and train-h100.json.

    python3 bench/train/table.py RESULTS.json... [--to bench/results/train-h100] [--notes NOTES.md]

Quality is the mean over seeds of the mean over held-out views; `+-` is half the distance between the best and the worst
seed. Ratios are of runs of one call on one machine, alone on it.
"""

import argparse
import json
import pathlib
import statistics

STEPS = (7000, 30_000)
BINS = (0, 50, 100, 150, 200, 300, 400, 600, 1000)
TOOLS = ("ours", "gsplat")
NAMES = dict(ours="`splat train`", gsplat="gsplat loop")


def evaluations(run):
    """By step, of either tool."""
    report = run.get("report") or {}
    found = report.get("evaluations") or run.get("evaluations") or (run.get("stats") or {}).get("evaluations") or []
    return {e["step"]: e for e in found}


def speeds(run):
    """Of either tool: (Gaussians, steps a second) along the run."""
    if run["tool"] == "ours":
        return [(n, rate) for _, n, rate in run.get("speed", [])]
    trace = (run.get("report") or {}).get("trace", [])
    return [(b[1], (b[0] - a[0]) / (b[2] - a[2])) for a, b in zip(trace, trace[1:]) if b[2] > a[2]]


def middle(values):
    return sum(values) / len(values), (max(values) - min(values)) / 2


def row(*cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def table(head, rows):
    return [row(*head), "|---" * len(head) + "|", *(row(*r) for r in rows), ""] if rows else ["Not measured.", ""]


class Results:
    def __init__(self, files):
        self.calls = [json.loads(f.read_text()) for f in files]
        self.runs = [dict(r, call=i) for i, c in enumerate(self.calls) for r in c["runs"] if not r.get("skipped")]
        self.sets = list(dict.fromkeys(s for c in self.calls for s in c["plan"]["sets"]))

    def pick(self, **wanted):
        return [r for r in self.runs if all(r.get(k) == v for k, v in wanted.items())]

    def seeds(self, tool, dataset, step, label=""):
        """One evaluation a seed; runs in a crowd first, as they are of one kind."""
        found = {}
        for run in sorted(self.pick(tool=tool, set=dataset, label=label), key=lambda r: r["mode"] != "crowd"):
            evaluation = evaluations(run).get(step)
            if evaluation:
                found.setdefault(run["seed"], evaluation)
        return found

    def quality(self):
        out = []
        for step in STEPS:
            for dataset in self.sets:
                found = {t: self.seeds(t, dataset, step) for t in TOOLS}
                if not any(found.values()):
                    continue
                entry = dict(set=dataset, step=step)
                for tool, seeds in found.items():
                    if seeds:
                        entry[tool] = {k: middle([e[k] for e in seeds.values()]) for k in ("psnr", "ssim", "gaussians")}
                        entry[tool]["seeds"] = sorted(seeds)
                if all(t in entry for t in TOOLS):
                    entry["difference"] = {k: entry["ours"][k][0] - entry["gsplat"][k][0] for k in ("psnr", "ssim")}
                out.append(entry)
        return out

    def speed(self):
        """Pairs of one call: the ratio of two calls' clocks would be of two machines."""
        out = []
        for step in STEPS:
            for dataset in self.sets:
                for call in range(len(self.calls)):
                    entry = dict(set=dataset, step=step)
                    for tool in TOOLS:
                        runs = [
                            r
                            for r in self.pick(tool=tool, set=dataset, mode="alone", call=call, label="")
                            if step in evaluations(r)
                        ]
                        run = min(runs, key=lambda r: r["steps"], default=None)
                        if run:
                            entry[tool] = dict(
                                train_seconds=evaluations(run)[step]["train_seconds"],
                                gaussians=evaluations(run)[step]["gaussians"],
                                wall_seconds=run["wall_seconds"] if run["steps"] == step else None,
                                peak_mib=run["memory"]["peak"] if run["steps"] == step else None,
                            )
                    if any(t in entry for t in TOOLS):
                        out.append(entry)
        return out

    def rates(self):
        """Median steps a second where the number of Gaussians was in a range; runs alone."""
        out = []
        for dataset in self.sets:
            for low, high in zip(BINS, (*BINS[1:], float("inf"))):
                entry = dict(set=dataset, low=low, high=high)
                for tool in TOOLS:
                    values = [
                        rate
                        for r in self.pick(tool=tool, set=dataset, mode="alone", label="")
                        for n, rate in speeds(r)
                        if low * 1000 <= n < high * 1000
                    ]
                    if len(values) > 2:
                        entry[tool] = statistics.median(values)
                if all(t in entry for t in TOOLS):
                    out.append(entry)
        return out

    def spread(self):
        out = []
        for label in ("default", "deterministic"):
            for tool in TOOLS:
                for dataset in self.sets:
                    runs = self.pick(tool=tool, set=dataset, label=label)
                    last = [evaluations(r).get(r["steps"]) for r in runs]
                    last = [e for e in last if e]
                    if len(last) > 1:
                        out.append(
                            dict(
                                label=label,
                                tool=tool,
                                set=dataset,
                                steps=runs[0]["steps"],
                                runs=len(last),
                                psnr=[e["psnr"] for e in last],
                                gaussians=[e["gaussians"] for e in last],
                                scenes=len({r.get("scene_sha256") for r in runs}),
                            )
                        )
        return out

    def profiles(self):
        out = []
        for run in self.pick(mode="alone", label=""):
            if run["tool"] == "gsplat" and (run.get("report") or {}).get("profile"):
                out.append(dict(tool="gsplat", set=run["set"], steps=run["steps"], **run["report"]["profile"]))
        for run in self.pick(tool="ours", label="profile"):
            if (run.get("stats") or {}).get("profile_ms"):
                out.append(dict(tool="ours", set=run["set"], steps=run["steps"], profile=run["stats"]["profile_ms"]))
        return out


def fixed(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def ratio(entry, key):
    a, b = (entry.get(t, {}).get(key) for t in TOOLS)
    return f"{b / a:.2f}" if a and b else "-"


def heading(r):
    text = ["# Training: `splat train` and a loop on gsplat 1.5.3", ""]
    for call in r.calls:
        m = call["machine"]
        gpus = ", ".join(f"{name} (driver {driver})" for name, driver, *_ in m["gpus"]) or "no GPU"
        text.append(
            f"- {m['date']}: {gpus}; {m['cpus']} threads of {m['cpu']}; torch {m['torch']}; {m['splat']}. "
            f"{call['plan']['what']}."
        )
    return text + [
        "",
        "Made by `bench/train/table.py` from `bench/train/run.py`. The loop is `bench/train/baseline.py`: the "
        "published schedule on gsplat's own `rasterization` and `DefaultStrategy`. Every 8th view is held out.",
        "",
    ]


def quality(r):
    rows = []
    for e in r.quality():
        cells = [e["set"], e["step"]]
        for q in (e.get(tool) for tool in TOOLS):
            if not q:
                cells += ["-"] * 3
                continue
            (psnr, apart), (ssim, _), (gaussians, _) = q["psnr"], q["ssim"], q["gaussians"]
            cells += [f"{psnr:.2f} +- {apart:.2f} ({len(q['seeds'])})", f"{ssim:.4f}", f"{gaussians / 1000:.0f}k"]
        d = e.get("difference")
        if d:
            reached = d["psnr"] >= -0.1 and d["ssim"] >= -0.002
            cells += [f"{d['psnr']:+.2f}", f"{d['ssim']:+.4f}", "yes" if reached else "no"]
        else:
            cells += ["-"] * 3
        rows.append(cells)
    figures = [f"{NAMES[t]} {x}" for t in TOOLS for x in ("PSNR (seeds)", "SSIM", "Gaussians")]
    return [
        "## Quality",
        "Held-out views, mean over seeds, `+-` half the distance between the seeds farthest apart. "
        "Wanted: a difference of at least -0.1 dB and -.002.",
        "",
        *table(["set", "steps", *figures, "dB", "SSIM", "reached"], rows),
    ]


def later(r):
    rows = []
    for dataset in r.sets:
        cells = [dataset]
        for tool in TOOLS:
            short, long = (r.seeds(tool, dataset, step) for step in STEPS)
            both = [long[seed]["psnr"] - short[seed]["psnr"] for seed in short if seed in long]
            cells.append("{:+.2f} +- {:.2f}".format(*middle(both)) if both else "-")
        rows += [cells] if cells[1:] != ["-", "-"] else []
    head = ["set", *(NAMES[t] for t in TOOLS)]
    return ["From 7,000 to 30,000 steps, dB, of the same runs:", "", *table(head, rows)]


def time(r):
    columns = dict(train_seconds="training", wall_seconds="process")
    rows = []
    for e in r.speed():
        cells = [e["set"], e["step"]]
        for key in columns:
            cells += [*(fixed(e.get(t, {}).get(key), 1) for t in TOOLS), ratio(e, key)]
        rows.append(cells)
    head = [cell for what in columns.values() for cell in (*(f"{NAMES[t]} {what}" for t in TOOLS), "ratio")]
    return [
        "## Time",
        "Seconds of training (evaluations, loading and saving left out) and of the whole process, runs alone "
        "on the machine, alternating; ratios of one call. A dash under the whole process: the figure is a longer run's "
        "at that step.",
        "",
        *table(["set", "steps", *head], rows),
    ]


def rates(r):
    rows = [
        [e["set"], f"{e['low']}k to {e['high']}k", *(fixed(e[t], 0) for t in TOOLS), f"{e['ours'] / e['gsplat']:.1f}"]
        for e in r.rates()
    ]
    return [
        "## Steps a second against Gaussians",
        "Medians over the parts of the same runs.",
        "",
        *table(["set", "Gaussians", *(NAMES[t] for t in TOOLS), "ratio"], rows),
    ]


def memory(r):
    rows = []
    for run in r.pick(mode="alone", label=""):
        torch = (run.get("report") or {}).get("peak_torch_mib") or (run.get("stats") or {}).get("peak_memory_mib") or {}
        said = ", ".join(f"{k} {v}" for k, v in torch.items())
        rows.append([run["set"], run["steps"], NAMES[run["tool"]], run["memory"]["peak"], said])
    head = ["set", "steps", "tool", "peak", "as the program says"]
    return [
        "## Memory",
        "Peak MiB on the GPU over what was in use before, by nvidia-smi every 100 ms, the CUDA context "
        "included; and of torch's allocator.",
        "",
        *table(head, sorted(rows, key=lambda c: (c[0], c[1], c[2]))),
    ]


def profiles(r):
    rows = []
    for p in r.profiles():
        if p["tool"] == "gsplat":
            kinds = ", ".join(f"{k} {v:.2f}" for k, v in p["kinds_ms"].items())
            idle = 100 * max(0.0, 1 - p["gpu_ms"] / p["wall_ms"])
            said = f"{p['wall_ms']:.2f} ms per step at {p['gaussians']} Gaussians; "
            said += f"kernels {p['gpu_ms']:.2f} ms: {kinds}; GPU idle {idle:.0f} %"
        else:
            figures = ", ".join(f"{k} {v:.3g}" for k, v in p["profile"].items() if isinstance(v, (int, float)))
            said = f"milliseconds a step over {p['steps']} steps: {figures}"
        rows.append([p["set"], NAMES[p["tool"]], said])
    return ["## Where a step's time goes", "", *table(["set", "tool", "profile"], rows)]


def spread(r):
    rows = [
        [
            e["set"],
            e["steps"],
            NAMES[e["tool"]],
            e["label"],
            e["runs"],
            f"{min(e['psnr']):.3f} to {max(e['psnr']):.3f}",
            f"{min(e['gaussians'])} to {max(e['gaussians'])}",
            e["scenes"] if e["tool"] == "ours" else "-",
        ]
        for e in r.spread()
    ]
    head = ["set", "steps", "tool", "mode", "runs", "PSNR", "Gaussians", "different scenes (SHA-256)"]
    return ["## Spread", "Runs of one configuration with one seed.", "", *table(head, rows)]


def variants(r):
    rows = []
    for label in ("reset", "fused-ssim"):
        for dataset in r.sets:
            for step in (1000, 7000, 15_000, 30_000):
                for seed, e in r.seeds("gsplat", dataset, step, label).items():
                    plain = r.seeds("gsplat", dataset, step).get(seed)
                    without = fixed(plain and plain["psnr"], 2)
                    rows.append([label, dataset, step, f"{e['psnr']:.2f}", without, f"{e['train_seconds']:.1f}"])
    if not rows:
        return []
    return [
        "## Variants of the loop on gsplat",
        "`reset`: opacities are reset every 3000 steps, as published. "
        "`DefaultStrategy` of gsplat 1.5.3 never does: it tests `step % reset_every == 0 & step > 0`, which Python "
        "reads as `step % reset_every == (0 & step) > 0`, never true. `fused-ssim`: with our kernels for SSIM, in "
        "place of gsplat's own trainer's package.",
        "",
        *table(["variant", "set", "steps", "PSNR", "without", "seconds of training"], rows),
    ]


def failures(r):
    rows = [[run["name"], run["rc"], run["cut"]] for run in r.runs if run.get("rc")]
    return ["## Runs that did not end well", "", *table(["run", "status", "cut off"], rows)] if rows else []


def commands(r):
    lines = dict.fromkeys(run["command"] for run in r.runs if run["seed"] == 0 and run["repeat"] == 0)
    return ["## Commands", "", *(f"    {line}" for line in lines), ""]


def page(r, notes):
    sections = (heading, lambda _: notes.splitlines() + [""] * bool(notes), quality, later, time, rates, memory, profiles, spread, variants, failures, commands)
    return "\n".join(line for section in sections for line in section(r))


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("results", type=pathlib.Path, nargs="+")
    p.add_argument("--to", default="bench/results/train-h100", help="without extension")
    p.add_argument("--notes", type=pathlib.Path, help="Markdown that stands before the tables: what they do not tell")
    args = p.parse_args()
    r = Results(args.results)
    for run in r.runs:  # what the tables do not use stays out of the committed file
        run.pop("stderr", None)
        if "report" in run:
            run["report"]["trace"] = run["report"].get("trace", [])[::5]
        run["speed"] = run.get("speed", [])[:: max(1, len(run.get("speed", [])) // 60)]
        run.get("stats", {}).pop("curve", None)
    pathlib.Path(args.to + ".md").write_text(page(r, args.notes.read_text() if args.notes else ""))
    value = dict(
        machines=[c["machine"] for c in r.calls],
        plans=[c["plan"]["what"] for c in r.calls],
        quality=r.quality(),
        speed=r.speed(),
        rates=r.rates(),
        spread=r.spread(),
        profiles=r.profiles(),
        runs=r.runs,
    )
    pathlib.Path(args.to + ".json").write_text(json.dumps(value, indent=None, separators=(",", ":")))


if __name__ == "__main__":
    main()
