"""The sections of the reports of `diffusion.py`: headings, and the lines that a row makes."""

from collections.abc import Callable, Mapping

Row = Mapping[str, object]
Lines = list[list[str]]


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
    "cost": (
        ["tokens", "speakers", "part", "TFLOP", "GB", "s", "TFLOP/s", "of the matmul rate"],
        _cost,
    ),
}
