"""The sections of the reports of `diffusion.py`: headings, and the lines that a row makes."""

from collections.abc import Callable, Mapping

Row = Mapping[str, object]
Lines = list[list[str]]


def _gib(count: float | None) -> str:
    return "" if count is None else f"{count / 2**30:.1f} GiB"


def _savings(row: Row) -> Lines:
    ratios = [row[f"ours_by_{other}"] for other in ("plain", "product")]
    return [
        [
            str(row["speakers"]),
            str(row["tokens"]),
            str(row["rounds"]),
            *(f"{row['seconds'][name]:.2f} s" for name in ("ours", "plain", "product")),
            *(f"{middle:.3f} ({low:.3f}-{high:.3f})" for middle, low, high in ratios),
            f"{row['difference']:.1e} of {row['largest_output']:.1f}",
        ]
    ]


def _map_memory(row: Row) -> Lines:
    return [
        [
            str(row["tokens"]),
            str(row["frame_tokens"]),
            f"{row['ours_bytes'] / 1e6:.1f} MB",
            f"{row['ours_bytes'] / row['tokens'] / 1e3:.2f} kB",
            f"{row['plain_bytes'] / 1e6:.1f} MB",
        ]
    ]


def _device(row: Row) -> Lines:
    figure = f"{row['rate'] / 1e12:.3g} TFLOP/s" if "rate" in row else _gib(row["bytes"])
    return [[row["what"], figure, f"{row['took_seconds']:.1f}"]]


def _attention(row: Row) -> Lines:
    return [
        [
            row["attention"],
            f"{row['seconds']:.4f}",
            f"{row['flops'] / row['seconds'] / 1e12:.3g}",
            f"{row['share_of_matmul_rate']:.1%}",
        ]
    ]


def _forward(row: Row) -> Lines:
    return [
        [
            row["weights"],
            row["attention"],
            str(row["speakers"]),
            f"{row['seconds']:.3f}",
            f"{row['share_of_matmul_rate']:.1%}",
            f"{row['first_seconds']:.1f}",
            _gib(row["peak_bytes"]),
        ]
    ]


def _profile(row: Row) -> Lines:
    return [
        [
            row["profile"],
            str(row["speakers"]),
            str(row["branches"]),
            f"{row['seconds_per_step']:.3f}",
            str(row["steps"]),
            f"{row['real_time_factor']:.1f}",
        ]
    ]


def _stage(row: Row) -> Lines:
    return [[row["stage"], row["of"], f"{row['seconds']:.3f}", _gib(row["peak_bytes"])]]


def _talk(row: Row) -> Lines:
    return [
        [
            row["plan"],
            str(row["speakers"]),
            str(row["steps"]),
            f"{row['seconds']:.2f}",
            f"{row['real_time_factor']:.1f}",
            _gib(row["resting_bytes"]),
            _gib(row["peak_bytes"]),
        ]
    ]


def _cost(row: Row) -> Lines:
    whole = {name: row[name] for name in ("flops", "bytes", "seconds")}
    counted = {"flops": row["flops_counted"], "bytes": row["bytes_counted"]}
    named = {
        **row["parts"],
        "forward": whole,
        "forward, counted": {**counted, "seconds": row["seconds"]},
    }
    lines = []
    for name, part in named.items():
        rate = part["flops"] / part["seconds"]
        lines.append(
            [
                str(row["tokens"]),
                str(row["speakers"]),
                name,
                f"{part['flops'] / 1e12:.4g}",
                f"{part['bytes'] / 1e9:.3g}",
                f"{part['seconds']:.3f}",
                f"{rate / 1e12:.3g}",
                f"{rate / row['matmul_rate']:.0%}",
            ]
        )
    return lines


SECTIONS: dict[str, tuple[list[str], Callable[[Row], Lines]]] = {
    "savings": (
        [
            "speakers",
            "tokens",
            "rounds",
            "ours",
            "plain",
            "one product",
            "ours / plain",
            "ours / one product",
            "largest difference",
        ],
        _savings,
    ),
    "map memory": (
        ["tokens", "of a frame", "speaker map", "per token", "written-out scores"],
        _map_memory,
    ),
    "device": (["what", "figure", "took s"], _device),
    "attention": (["attention alone", "s", "TFLOP/s", "of the matmul rate"], _attention),
    "forward": (
        ["weights", "attention", "speakers", "s", "of the matmul rate", "first took s", "peak"],
        _forward,
    ),
    "cost": (
        ["tokens", "speakers", "part", "TFLOP", "GB", "s", "TFLOP/s", "of the matmul rate"],
        _cost,
    ),
    "profile": (
        ["profile", "speakers", "branches", "s/step", "steps", "s per s of talk"],
        _profile,
    ),
    "stage": (["stage", "of", "s", "peak"], _stage),
    "talk": (
        [
            "memory plan",
            "speakers",
            "steps",
            "s of a segment",
            "s per s of talk",
            "resting",
            "peak",
        ],
        _talk,
    ),
}
