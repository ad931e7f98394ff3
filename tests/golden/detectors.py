#!/usr/bin/env python3
"""Computes where River's drift detectors signal, on series that the Rust tests make anew.

    python tests/golden/detectors.py        (with the packages of requirements-river.txt)

Writes detectors.json beside this file (in about two minutes: KSWIN asks SciPy for a p-value per value): the series, as
recipes or, where they are River's data sets, as values; and per run the series, the detector with its settings (River's
names; what is not named has River's default), the indices of its drifts, and the ranges [first, last] of indices at
which it warned.

Random series come from SplitMix64 and +, -, *, / and comparisons alone, so that every language computes the same bits:

- uniform: the upper 53 bits times 2^-53
- errors: uniform < p, with p going from `from` to `to` in equal steps within each segment
- normal: (sum of twelve uniforms - 6) * std + mean, which is nearly normal, in one expression per value
- constant: one value

KSWIN draws its samples with Python's generator, whose draws we do not make. Its generator is replaced by one that
draws by Floyd's algorithm with SplitMix64, as Plimsoll's does; all else is River's code.

Besides, the exact p-values of SciPy's two-sample Kolmogorov-Smirnov test for two samples of n values each, at a
distance of so many values.

CUSUM is not in River. It is computed here from its definition with NumPy's mean and standard deviation of the warm-up.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from river import drift
from river.drift import datasets, kswin
from scipy.stats import ks_2samp

HERE = Path(__file__).parent
MASK = (1 << 64) - 1
KSWIN_SEED = 42


class SplitMix64:
    def __init__(self, seed):
        self.state = seed & MASK

    def bits(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        bits = self.state
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
        return bits ^ (bits >> 31)

    def uniform(self):
        return (self.bits() >> 11) * 2.0**-53

    def below(self, bound):
        return (self.bits() * bound) >> 64


class FloydSampler:
    """Stands in for random.Random in KSWIN."""

    def __init__(self, seed):
        self.generator = SplitMix64(seed)

    def sample(self, population, size):
        taken = set()
        for last in range(len(population) - size, len(population)):
            drawn = self.generator.below(last + 1)
            taken.add(last if drawn in taken else drawn)
        return [population[place] for place in taken]


kswin.random = SimpleNamespace(Random=FloydSampler)


class Cusum:
    """Two-sided tabular CUSUM on values standardised by a warm-up."""

    def __init__(self, warm_up=100, allowance=0.5, decision_interval=5.0):
        self.warm_up, self.allowance, self.decision_interval = warm_up, allowance, decision_interval
        self.drift_detected = True

    def update(self, value):
        if self.drift_detected:
            self.first, self.above, self.below, self.scale = [], 0.0, 0.0, None
            self.drift_detected = False
        if self.scale is None:
            self.first.append(value)
            if len(self.first) >= self.warm_up and np.ptp(self.first) > 0:
                self.scale = np.mean(self.first), np.std(self.first, ddof=1)
            return
        z = (value - self.scale[0]) / self.scale[1]
        self.above = max(0.0, self.above + z - self.allowance)
        self.below = max(0.0, self.below - z - self.allowance)
        self.drift_detected = bool(self.above > self.decision_interval or self.below > self.decision_interval)


CLASSES = {
    "adwin": drift.ADWIN,
    "page_hinkley": drift.PageHinkley,
    "ddm": drift.binary.DDM,
    "eddm": drift.binary.EDDM,
    "hddm_a": drift.binary.HDDMA,
    "hddm_w": drift.binary.HDDMW,
    "kswin": drift.KSWIN,
    "cusum": Cusum,
}


def errors(seed, *segments):
    segments = [{"count": count, "from": p, "to": q} for count, p, q in segments]
    return {"recipe": "errors", "seed": seed, "segments": segments}


def normal(seed, *segments):
    segments = [{"count": count, "mean": mean, "std": std} for count, mean, std in segments]
    return {"recipe": "normal", "seed": seed, "segments": segments}


def values_of(series):
    """The values of a recipe."""
    recipe = series["recipe"]
    if recipe == "values":
        return series["values"]
    if recipe == "above":
        return [1.0 if value > series["threshold"] else 0.0 for value in series["values"]]
    if recipe == "constant":
        return [series["value"]] * series["count"]
    generator = SplitMix64(series["seed"])
    if recipe == "uniform":
        return [generator.uniform() for _ in range(series["count"])]
    found = []
    for segment in series["segments"]:
        for row in range(segment["count"]):
            if recipe == "errors":
                p = segment["from"] + (segment["to"] - segment["from"]) * (row / segment["count"])
                found.append(1.0 if generator.uniform() < p else 0.0)
            else:
                total = 0.0
                for _ in range(12):
                    total += generator.uniform()
                found.append((total - 6.0) * segment["std"] + segment["mean"])
    return found


def data_sets():
    """Every column of River's small change point data sets."""
    small = (datasets.Occupancy, datasets.RunLog, datasets.UKCoalEmploy, datasets.Bitcoin, datasets.AirlinePassengers)
    for cls in small:
        name = cls.__name__.lower()
        columns = {}
        for _, target in cls():
            for column, value in target.items() if isinstance(target, dict) else [("", target)]:
                columns.setdefault(column, []).append(float(value))
        for column, values in columns.items():
            yield f"{name} {column.lower()}".strip(), values


def all_series():
    error_series = {
        "errors abrupt": errors(1, (2_000, 0.2, 0.2), (2_000, 0.5, 0.5), (2_000, 0.2, 0.2)),
        "errors small abrupt": errors(2, (5_000, 0.10, 0.10), (5_000, 0.15, 0.15)),
        "errors rare": errors(3, (5_000, 0.01, 0.01), (5_000, 0.05, 0.05)),
        "errors frequent": errors(4, (2_000, 0.9, 0.9), (2_000, 0.97, 0.97), (2_000, 0.5, 0.5)),
        "errors gradual": errors(5, (2_000, 0.1, 0.1), (4_000, 0.1, 0.5), (2_000, 0.5, 0.5)),
        "errors gradual down": errors(6, (2_000, 0.5, 0.5), (4_000, 0.5, 0.1), (2_000, 0.1, 0.1)),
        "errors without change": errors(7, (20_000, 0.3, 0.3)),
        "no errors": {"recipe": "constant", "value": 0.0, "count": 2_000},
        "only errors": {"recipe": "constant", "value": 1.0, "count": 2_000},
    }
    numeric_series = {
        "normal up": normal(11, (2_000, 0.0, 1.0), (2_000, 1.0, 1.0), (2_000, 0.0, 1.0)),
        "normal small shift": normal(12, (5_000, 0.0, 1.0), (5_000, 0.2, 1.0)),
        "normal far from zero": normal(13, (2_000, 1_000.0, 1.0), (2_000, 1_001.0, 1.0)),
        "normal scale": normal(14, (2_000, 0.0, 1.0), (2_000, 0.0, 3.0), (2_000, 0.0, 0.5)),
        "normal large": normal(15, (1_500, 5e6, 1e5), (1_500, 5.2e6, 1e5)),
        "normal without change": normal(16, (20_000, 0.0, 1.0)),
        "uniform": {"recipe": "uniform", "seed": 17, "count": 5_000},
        "constant": {"recipe": "constant", "value": 0.1, "count": 5_000},
    }
    stored = dict(data_sets())
    for name, values in stored.items():
        numeric_series[name] = {"recipe": "values", "values": values}
        threshold = sorted(values)[len(values) // 2]
        error_series[f"{name} above median"] = {"recipe": "above", "of": name, "threshold": threshold, "values": values}
    return error_series, numeric_series


ERROR_SETTINGS = [
    {"kind": "ddm"},
    {"kind": "ddm", "warm_start": 100, "warning_threshold": 1.5, "drift_threshold": 2.5},
    {"kind": "eddm"},
    {"kind": "eddm", "warm_start": 10, "alpha": 0.98, "beta": 0.8},
    {"kind": "hddm_a"},
    {"kind": "hddm_a", "drift_confidence": 0.01, "warning_confidence": 0.05, "two_sided_test": True},
    {"kind": "hddm_w"},
    {"kind": "hddm_w", "lambda_val": 0.01, "two_sided_test": True},
]
NUMERIC_SETTINGS = [
    {"kind": "adwin"},
    {"kind": "adwin", "delta": 0.05, "clock": 1, "max_buckets": 3, "min_window_length": 2, "grace_period": 5},
    {"kind": "page_hinkley"},
    {"kind": "page_hinkley", "min_instances": 10, "delta": 0.1, "threshold": 10.0, "alpha": 0.99, "mode": "up"},
    {"kind": "page_hinkley", "threshold": 5.0, "alpha": 1.0, "mode": "down"},
    {"kind": "kswin"},
    {"kind": "kswin", "alpha": 0.0001, "window_size": 150, "stat_size": 50},
    {"kind": "cusum"},
    {"kind": "cusum", "warm_up": 30, "allowance": 0.25, "decision_interval": 8.0},
]
# River lets these take any number; out of 0…1 HDDM is out of its bounds, but in step.
ALSO_NUMERIC = [{"kind": "eddm"}, {"kind": "hddm_a"}, {"kind": "hddm_w", "two_sided_test": True}]
ALSO_NUMERIC_SERIES = ("uniform", "normal scale", "constant", "occupancy v1")


def build(settings):
    options = {name: value for name, value in settings.items() if name != "kind"}
    if settings["kind"] == "kswin":
        options["seed"] = KSWIN_SEED
    return CLASSES[settings["kind"]](**options)


def run(settings, values):
    detector = build(settings)
    drifts, warnings = [], []
    for index, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            drifts.append(index)
        elif getattr(detector, "warning_detected", False):
            if warnings and warnings[-1][1] == index - 1:
                warnings[-1][1] = index
            else:
                warnings.append([index, index])
    return drifts, warnings


def pairs(error_series, numeric_series):
    """Which detectors run on which series."""
    for name, recipe in error_series.items():
        numeric = NUMERIC_SETTINGS if recipe["recipe"] != "above" else []
        yield from ((name, recipe, settings) for settings in ERROR_SETTINGS + numeric)
    for name, recipe in numeric_series.items():
        also = ALSO_NUMERIC if name in ALSO_NUMERIC_SERIES else []
        yield from ((name, recipe, settings) for settings in NUMERIC_SETTINGS + also)


def ks_p_values():
    """SciPy's exact p-values; near 1, which SciPy's sum may exceed by rounding, it falls back to the limit."""
    sizes = {5: range(2, 6), 30: range(2, 31), 100: (10, 20, 40, 100), 1_000: (40, 90, 500)}
    for n, distances in sizes.items():
        for distance in distances:
            x = np.arange(n)
            p_value = ks_2samp(x, x + distance - 0.5, method="exact").pvalue
            yield {"n": n, "distance": distance, "p_value": float(p_value)}


def main():
    error_series, numeric_series = all_series()
    runs = []
    for name, recipe, settings in pairs(error_series, numeric_series):
        drifts, warnings = run(settings, values_of(recipe))
        runs.append({"series": name, "detector": settings, "drifts": drifts, "warnings": warnings})
    for recipe in error_series.values():
        if recipe["recipe"] == "above":
            del recipe["values"]  # they are those of the series it is made of
    series = (f"{compact(name)}:{compact(recipe)}" for name, recipe in (numeric_series | error_series).items())
    text = '{"series":{\n' + ",\n".join(series) + '\n},\n"runs":[\n' + ",\n".join(map(compact, runs))
    text += '\n],\n"ks":[\n' + ",\n".join(map(compact, ks_p_values())) + "\n]}\n"
    (HERE / "detectors.json").write_text(text)


def compact(value):
    return json.dumps(value, separators=(",", ":"))


if __name__ == "__main__":
    main()
