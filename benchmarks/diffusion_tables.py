"""The report of `diffusion.py` as tables."""

from collections.abc import Iterator, Mapping


def tables(report: Mapping[str, object]) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Headings and rows of every table of a report."""
    if "savings" in report:
        headings = ["speakers", "tokens", "ours", "plain", "one product", "ours / plain"]
        headings += ["ours / one product", "largest difference"]
        yield headings, [_savings_row(row) for row in report["savings"]]
        headings = ["tokens", "of a frame", "speaker map", "per token", "written-out scores"]
        yield headings, [_memory_row(row) for row in report["memory"]]
    if "backends" in report:
        headings = ["attention", "speakers", "s/forward", "of the matmul rate", "peak"]
        yield headings, [_backend_row(row) for row in report["backends"]]
        headings = ["profile", "speakers", "branches", "s/step", "steps", "s per s of talk", "peak"]
        yield headings, [_profile_row(row) for row in report["profiles"]]
    headings = ["tokens", "speakers", "part", "TFLOP", "GB", "s", "TFLOP/s", "of the matmul rate"]
    yield headings, [line for row in report["costs"] for line in _cost_rows(row)]


def _savings_row(row: Mapping[str, object]) -> list[str]:
    ratios = [row[f"ours_by_{other}"] for other in ("plain", "product")]
    return [
        str(row["speakers"]),
        str(row["tokens"]),
        *(f"{row['seconds'][name]:.2f} s" for name in ("ours", "plain", "product")),
        *(f"{middle:.3f} ({low:.3f}-{high:.3f})" for middle, low, high in ratios),
        f"{row['difference']:.1e} of {row['largest_output']:.1f}",
    ]


def _memory_row(row: Mapping[str, object]) -> list[str]:
    return [
        str(row["tokens"]),
        str(row["frame_tokens"]),
        f"{row['ours_bytes'] / 1e6:.1f} MB",
        f"{row['ours_bytes'] / row['tokens'] / 1e3:.2f} kB",
        f"{row['plain_bytes'] / 1e6:.1f} MB",
    ]


def _backend_row(row: Mapping[str, object]) -> list[str]:
    if "unavailable" in row:
        return [row["backend"], "", f"unavailable: {row['unavailable']}", "", ""]
    return [
        row["backend"],
        str(row["speakers"]),
        f"{row['seconds']:.3f}",
        f"{row['share_of_matmul_rate']:.1%}",
        f"{row['peak_bytes'] / 2**30:.1f} GiB",
    ]


def _profile_row(row: Mapping[str, object]) -> list[str]:
    return [
        row["profile"],
        str(row["speakers"]),
        str(row["branches"]),
        f"{row['seconds_per_step']:.2f}",
        str(row["steps"]),
        f"{row['real_time_factor']:.1f}",
        f"{row['peak_bytes'] / 2**30:.1f} GiB",
    ]


def _cost_rows(row: Mapping[str, object]) -> Iterator[list[str]]:
    counted_cost = {
        "flops": row["flops_counted"],
        "bytes": row["bytes_counted"],
        "seconds": row["seconds"],
    }
    whole = {"flops": row["flops"], "bytes": row["bytes"], "seconds": row["seconds"]}
    named = {**row["parts"], "forward": whole, "forward, counted": counted_cost}
    for name, part in named.items():
        rate = part["flops"] / part["seconds"]
        yield [
            str(row["tokens"]),
            str(row["speakers"]),
            name,
            f"{part['flops'] / 1e12:.4g}",
            f"{part['bytes'] / 1e9:.3g}",
            f"{part['seconds']:.3f}",
            f"{rate / 1e12:.3g}",
            f"{rate / row['matmul_rate']:.0%}",
        ]


def show(report: Mapping[str, object], *, markdown: bool) -> None:
    """Print the report's tables, for people or for docs/experiments.md."""
    measured = report["machine"]
    print(", ".join(f"{name} {value}" for name, value in measured.items()))
    for headings, rows in tables(report):
        print()
        if markdown:
            rule = ["---"] * len(headings)
            print("\n".join(f"| {' | '.join(line)} |" for line in [headings, rule, *rows]))
            continue
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        for line in [headings, *rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
