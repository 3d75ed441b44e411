"""The cost model of a forward beside what its operations count and what clocks say."""

from functools import partial
from statistics import median

from clocks import Clock, interleaved, timed, timing_parts
from diffusion_cost import Cost, Size, cost_model, counted
from diffusion_models import forward, make_inputs
from multitalk.engines.diffusion.transformer import CachedConditions, MultiTalkTransformer3DModel


def measure_cost(
    model: MultiTalkTransformer3DModel,
    size: Size,
    speakers: int,
    *,
    clock: Clock,
    rate: float,
    rounds: int,
) -> dict[str, object]:
    """Measure one size.

    Args:
        model: With random weights.
        size: Of the latents.
        speakers: One or two.
        clock: Of the model's device.
        rate: Of a large matrix product there, in operations a second.
        rounds: Of the forward's time.
    """
    inputs, shared = make_inputs(model, size, speakers), CachedConditions()
    run = partial(forward, model, inputs, shared)
    width = model.proj_out.weight.element_size()
    parts = cost_model(model.config, size, speakers, width)
    total = sum(parts.values(), Cost())
    seconds = median(interleaved({"forward": run}, rounds, clock)["forward"])
    with timing_parts(model, clock) as parts_seconds:
        whole = timed(run, clock)
    parts_seconds["ends"] = whole - sum(parts_seconds.values())
    counts = counted(run)
    return {
        "tokens": size.tokens,
        "speakers": speakers,
        "seconds": seconds,
        "flops": total.flops,
        "flops_counted": counts.flops,
        "bytes": total.bytes,
        "bytes_counted": counts.bytes,
        "matmul_rate": rate,
        "share_of_matmul_rate": total.flops / seconds / rate,
        "parts": {
            name: {"flops": part.flops, "bytes": part.bytes, "seconds": parts_seconds[name]}
            for name, part in parts.items()
        },
    }
